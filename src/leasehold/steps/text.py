"""Plain text: one block that is the file.

There is no structure to find that the chunker would not find by itself: it prefers blank lines, then line ends, then
sentences. Making one block of the file keeps reading at the speed of decoding.
"""

from __future__ import annotations

from leasehold.steps.decoding import decode
from leasehold.types import Block, Parsed

READER_VERSION = 1


def read(data: bytes, media_type: str, name: str) -> Parsed:
    text, notes = decode(data)
    return Parsed(whole(text), notes=notes)


def whole(text: str) -> tuple[Block, ...]:
    """All of *text* as one block, or no block when there is nothing to see in it."""
    return (Block(text, 1),) if text and not text.isspace() else ()
