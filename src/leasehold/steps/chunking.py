"""Chunking: from blocks to pieces of at most `size` characters, each with its exact lines and its heading path.

Three rules, in this order. A block that is too big is cut where its text allows it best: at blank lines, line ends,
sentences, words (semantic-text-splitter knows these in Unicode). Blocks under the same heading are packed together up
to `size`. Tiny neighbours, and a tiny block with what follows below its heading, are packed too, under the heading they
share: a heading alone or a one-line method is no answer to anything. Blocks of two places (pages, slides, sheets,
members) are never packed together, so a chunk has exactly one place.

Invariants (tested with generated input): every character that is not white space is in some chunk, in the order of the
text; no chunk is longer than `size`; none is blank; `line_start` and `line_end` are lines of the original file.

The splitter looks at windows of a few chunks, because on text without structure (one long line, Chinese without line
ends) its time grows with the square of what it is given: 3 million letters took it 30 seconds. The last chunk of a
window is not kept, the next window starts with it, so windows leave no seams.

Overlap repeats text only where a block had to be cut: chunks that end where a block ends have lost no context.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from leasehold.types import Block, Box, Chunk, Parsed, Place

if TYPE_CHECKING:
    from semantic_text_splitter import TextSplitter

CHUNKER_VERSION = 1

WINDOW_CHUNKS = 4
WINDOW_CHARS_MIN = 2048
TINY_SHARE = 4
"""A piece below a quarter of `size` is tiny."""
GAP_MAX = 3
"""Blocks at most this many lines apart are joined with just those newlines, and what comes of it is line-faithful."""


def chunk(parsed: Parsed, *, size: int, overlap: int) -> list[Chunk]:
    """Cut and pack the blocks of *parsed*.

    Args:
        size: characters in a chunk at most, at least 1.
        overlap: characters at most repeated at the start of the next chunk, where a block is cut; below *size*.

    Returns:
        Chunks in the order of the text; none for text without anything but white space.
    """
    packer = _Packer(size)
    for block in parsed.blocks:
        faithful = packer.taken_into(block)
        if len(faithful.text) <= size:
            packer.add(faithful)
        else:
            for piece in _split(faithful, size, overlap):
                packer.end()
                packer.add(piece)
    packer.end()
    return packer.chunks


class _Packer:
    """Holds the chunk being filled, and decides what still goes into it."""

    def __init__(self, size: int) -> None:
        self.chunks: list[Chunk] = []
        self._size = size
        self._tiny = size // TINY_SHARE
        self._text = ""
        self._start = self._end = 0
        self._heading: tuple[str, ...] = ()
        self._place: Place = ()
        self._box: Box | None = None

    def taken_into(self, block: Block) -> Block:
        """*block* trimmed; a big one with the tiny chunk above it put in front, so that both are cut as one text."""
        block = _trimmed(block)
        gap = block.line - self._end
        if (
            self._text
            and len(block.text) > self._size
            and len(self._text) < self._tiny
            and 0 < gap <= GAP_MAX
            and block.place == self._place
            and self._faithful()
            and block.heading[: len(self._heading)] == self._heading
        ):
            box = _around(self._box, block.box)
            block = Block(self._text + "\n" * gap + block.text, self._start, block.heading, block.place, box)
            self._text = ""
        return block

    def add(self, block: Block) -> None:
        """Put *block*, which fits a chunk by itself, into this chunk or the next."""
        if not block.text:
            return
        joint = "\n" * min(max(block.line - self._end, 1), GAP_MAX)
        if self._text and self._belongs(block, len(joint)):
            self._heading = _shared(self._heading, block.heading)
            self._box = _around(self._box, block.box)
            self._text += joint + block.text
        else:
            self.end()
            self._text, self._start, self._heading = block.text, block.line, block.heading
            self._place, self._box = block.place, block.box
        self._end = block.line + block.text.count("\n")

    def end(self) -> None:
        """The chunk is full."""
        if self._text:
            self.chunks.append(Chunk(self._text, self._start, self._end, self._heading, self._place, self._box))
            self._text = ""

    def _belongs(self, block: Block, joint: int) -> bool:
        mine, new = len(self._text), len(block.text)
        if mine + joint + new > self._size or block.place != self._place:
            return False
        if block.heading == self._heading:
            return True
        below = block.heading[: len(self._heading)] == self._heading
        return mine < self._tiny and (new < self._tiny or below)

    def _faithful(self) -> bool:
        return self._text.count("\n") == self._end - self._start


def _around(mine: Box | None, other: Box | None) -> Box | None:
    """The smallest box that holds both."""
    if mine is None or other is None:
        return mine or other
    return (min(mine[0], other[0]), min(mine[1], other[1]), max(mine[2], other[2]), max(mine[3], other[3]))


def _shared(mine: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The heading of a chunk that holds both: the deeper one when it lies below, else what both have in common."""
    if other[: len(mine)] == mine:
        return other
    common = 0
    while common < min(len(mine), len(other)) and mine[common] == other[common]:
        common += 1
    return mine[:common]


def _trimmed(block: Block) -> Block:
    """*block* without blank lines before and white space after it; the indent of its first line stays."""
    text = block.text
    if text and not text[0].isspace() and not text[-1].isspace():
        return block
    body = text.rstrip()
    blank = len(body) - len(body.lstrip())
    skipped = body.rfind("\n", 0, blank) + 1
    return Block(body[skipped:], block.line + body.count("\n", 0, skipped), block.heading, block.place, block.box)


def _split(block: Block, size: int, overlap: int) -> Iterator[Block]:
    """Cut a block into pieces that fit."""
    text, line, counted = block.text, block.line, 0
    for start, piece in _pieces(text, size, overlap):
        # An overlap steps back, and so does the line.
        line += text.count("\n", counted, start) if start >= counted else -text.count("\n", start, counted)
        counted = start
        yield _trimmed(Block(piece, line, block.heading, block.place, block.box))


def _pieces(text: str, size: int, overlap: int) -> Iterator[tuple[int, str]]:
    """The pieces of *text* with their offsets, found in windows that begin where the last kept piece ended."""
    splitter = _splitter(size, overlap)
    window = max(WINDOW_CHUNKS * size, WINDOW_CHARS_MIN)
    begin = _with_what_follows(text[:window], size)
    if begin:
        yield 0, text[:begin]
    while begin < len(text):
        found = splitter.chunk_indices(text[begin : begin + window])
        if begin + window >= len(text):
            yield from ((begin + offset, piece) for offset, piece in found)
            return
        for offset, piece in found[:-1]:
            yield begin + offset, piece
        begin += found[-1][0]


def _with_what_follows(text: str, size: int) -> int:
    """Where the first piece ends that keeps a tiny start (a heading) with the text below it; 0 when there is none.

    The splitter by itself cuts at the blank line after a heading, rather than inside the paragraph that follows.
    """
    start = _splitter(size, 0).chunk_indices(text)[0][1]
    if len(start) * TINY_SHARE >= size or start.isspace():
        return 0
    return len(start) + len(_splitter(size - len(start), 0).chunk_indices(text[len(start) :])[0][1])


@lru_cache(maxsize=512)
def _splitter(size: int, overlap: int) -> TextSplitter:
    from semantic_text_splitter import TextSplitter

    return TextSplitter(size, overlap=overlap, trim=False)
