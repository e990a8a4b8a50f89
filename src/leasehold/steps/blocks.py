"""Line-faithful blocks: the one promise every reader makes to the chunker.

Inside a block each newline is one line of the file, so the line of any character is the block's line plus the
newlines before it. A reader of plain text gets this for nothing by slicing. A reader that drops mark-up (tags, quotes,
braces) writes its pieces through `BlockBuilder`, each with the line it came from; where the pieces are too far apart
to say so in newlines, the builder begins another block.

Not here: what a piece is (the readers), how blocks become chunks (`chunking`).
"""

from __future__ import annotations

from leasehold.types import Block, Place

GAP_MAX = 2
"""Pieces further apart than this many lines become two blocks; blank lines beyond one say nothing to a reader."""

BLOCK_CHARS_MAX = 65_536
"""A block that has grown past this ends: a list of its many pieces costs more than their text."""

BLOCKS_MANY = 10_000
TINY_CHARS = 200
"""In a file with many blocks, tiny ones are joined: a block costs some 300 bytes whatever it holds."""

TOO_FINE = "headings left out: they are closer together than a search answer is long"

HEADING_CHARS_MAX = 200
"""A heading is a label; a longer one is cut, because it is repeated beside every chunk below it."""


def short_heading(text: str) -> str:
    """*text* on one line and no longer than a label should be."""
    return " ".join(text[: 4 * HEADING_CHARS_MAX].split())[:HEADING_CHARS_MAX].rstrip()


def too_fine(blocks: int, characters: int) -> bool:
    """Whether a file is cut so finely that the blocks would cost many times its size."""
    return blocks > BLOCKS_MANY and characters < blocks * TINY_CHARS // 2


class BlockBuilder:
    """Collects pieces of text with their lines into line-faithful blocks.

    Pieces come in the order of the file; a piece may hold newlines when they are newlines of the file.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.heading: tuple[str, ...] = ()
        self.place: Place = ()
        self._parts: list[str] = []
        self._first_line = 0
        self._line = 0
        self._size = 0
        self._between = ""

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def size(self) -> int:
        """Characters collected since the last block."""
        return self._size

    def text(self) -> str:
        """What was collected since the last block."""
        return "".join(self._parts)

    def add(self, text: str, line: int, between: str = "") -> None:
        """Add *text* found at *line*; *between* joins it to a piece before it on the same line."""
        if self._size > BLOCK_CHARS_MAX:
            self.end()
        if self._parts:
            gap = line - self._line
            if gap > GAP_MAX or gap < 0:
                self.end()
            else:
                self._parts.append("\n" * gap or between or self._between)
        self._between = ""
        if not self._parts:
            self._first_line = line
        self._parts.append(text)
        self._line = line + text.count("\n")
        self._size += len(text)

    def flush(self) -> None:
        """A paragraph or record is over: end the block, unless it is one of very many tiny ones."""
        if len(self.blocks) < BLOCKS_MANY or self._size >= TINY_CHARS:
            self.end()
        else:
            self._between = " "

    def under(self, heading: tuple[str, ...]) -> None:
        """End the block; what is added from here on stands below *heading*."""
        self.end()
        self.heading = heading

    def end(self) -> None:
        """End the block, when there is one."""
        text = self.text()
        if text and not text.isspace():
            self.blocks.append(Block(text, self._first_line, self.heading, self.place))
        self._parts.clear()
        self._size = 0
