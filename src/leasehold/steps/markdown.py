"""Markdown: sections under their heading paths, code fences kept in one piece where they fit.

The reader looks for four things only: ATX headings, setext headings, fences and HTML comments (inside the last two a
`#` is no heading). Everything else is text as it stands, sliced from the file, so lines are exact. It is a scanner and
not a CommonMark parser on purpose: a parser builds a tree of tokens many times the size of the file, and the tests
compare the headings found here with those of a real parser.

Known differences: a heading inside a list item or a quotation is taken at face value only when it is indented by less
than four columns and not quoted; a setext underline below a list item, quotation or table row is a rule.
"""

from __future__ import annotations

import re
from functools import cache

from leasehold.steps.blocks import TOO_FINE, short_heading, too_fine
from leasehold.steps.decoding import decode
from leasehold.steps.text import whole
from leasehold.types import Block, Parsed

READER_VERSION = 1

FRONT_MATTER_CHARS_MAX = 65_536
PARAGRAPH_CHARS_MAX = 4096
"""A setext heading is looked for this far above its underline."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    text, notes = decode(data)
    sections = _Sections(text)
    start, title = _front_matter(text)
    sections.scan(start)
    if sections.too_fine:
        return Parsed(whole(text), title=title or sections.title, notes=(*notes, TOO_FINE))
    return Parsed(tuple(sections.blocks), title=title or sections.title, notes=notes)


class _Sections:
    """One pass over the text: where marks are found, the block before them ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.blocks: list[Block] = []
        self.title = ""
        self.too_fine = False
        self._path: list[tuple[int, str]] = []
        self._start = self._counted = 0
        self._floor = 0  # a paragraph cannot begin above the end of the mark before it
        self._line = 1

    def scan(self, position: int) -> None:
        """Read from *position* to the end; what lies before it is a block of its own."""
        self._cut(position)
        self._floor = position
        while found := _mark().search(self.text, position):
            if too_fine(len(self.blocks), position):
                self.too_fine = True
                return
            position = found.end()
            if found["fence"]:
                position = self._fence(found)
            elif found["comment"]:
                end = self.text.find("-->", position)
                position = end + 3 if end >= 0 else position
            elif found["level"]:
                self._cut(found.start())
                self._enter(len(found["level"]), re.sub(r"(?:^|[ \t])#+[ \t]*$", "", found["title"] or ""))
            elif not self._setext(found):
                continue  # an `===` with nothing above it is the first line of a paragraph
            self._floor = self.text.find("\n", position) + 1 or len(self.text)
        self._cut(len(self.text))

    def _fence(self, found: re.Match[str]) -> int:
        """Make the fence a block of its own, so that packing cuts around it and not inside; return where it ends."""
        self._cut(found.start())
        mark = found["fence"]
        closing = re.compile(rf"^ {{0,3}}{mark[0]}{{{len(mark)},}}[ \t]*$", re.MULTILINE)
        closed = closing.search(self.text, found.end())
        end = closed.end() if closed else len(self.text)
        self._cut(end)
        return end

    def _setext(self, found: re.Match[str]) -> bool:
        """Make a heading of the paragraph above the underline; False when there is nothing above it."""
        paragraph, is_one = self._paragraph_before(found.start())
        if is_one:
            self._cut(paragraph)
            self._enter(1 if found["underline"][0] == "=" else 2, self.text[paragraph : found.start()])
        return paragraph < found.start() or found["underline"][0] == "-"

    def _paragraph_before(self, end: int) -> tuple[int, bool]:
        """Where the text above *end* starts, and whether it is a paragraph."""
        start = end
        while start > self._floor and end - start < PARAGRAPH_CHARS_MAX:
            above = max(self._floor, self.text.rfind("\n", self._floor, start - 1) + 1)
            if self.text[above:start].isspace():
                break
            start = above
        if code := _indented_code().match(self.text, start, end):
            start = code.end()
        return start, start < end and not _no_paragraph().match(self.text, start)

    def _enter(self, level: int, title: str) -> None:
        title = short_heading(title)
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        if title:
            self._path.append((level, title))
        if not self.title:
            self.title = title

    def _cut(self, end: int) -> None:
        """End the current block before *end*."""
        text = self.text[self._start : end]
        if text and not text.isspace():
            blank = len(text) - len(text.lstrip())
            start = max(self._start, self.text.rfind("\n", self._start, self._start + blank) + 1)
            self._line += self.text.count("\n", self._counted, start)
            self._counted = start
            body = self.text[start:end].rstrip()
            self.blocks.append(Block(body, self._line, tuple(title for _, title in self._path)))
        self._start = end


def _front_matter(text: str) -> tuple[int, str]:
    """Where the text after the front matter starts, and the title it names."""
    found = re.match(r"---[ \t]*\n(.*?\n)??(?:---|\.\.\.)[ \t]*(?:\n|\Z)", text[:FRONT_MATTER_CHARS_MAX], re.DOTALL)
    if not found or not found[1]:
        return 0, ""
    title = re.search(r"^title:[ \t]*([^\n]+)$", found[1], re.MULTILINE)
    return found.end(), short_heading(title[1].strip().strip("\"'")) if title else ""


@cache
def _mark() -> re.Pattern[str]:
    return re.compile(
        r"""^[ ]{0,3}(?:
            (?P<level>\#{1,6})(?:[ \t]+(?P<title>[^\n]*))?$
          | (?P<fence>`{3,}(?=[^`\n]*$)|~{3,})[^\n]*$
          | (?P<underline>=+|-+)[ \t]*$
          | (?P<comment><!--)
        )""",
        re.MULTILINE | re.VERBOSE,
    )


@cache
def _indented_code() -> re.Pattern[str]:
    return re.compile(r"(?:(?:[ ]{4}|\t)[^\n]*\n)*+")


@cache
def _no_paragraph() -> re.Pattern[str]:
    """A first line that a setext underline cannot make a heading."""
    return re.compile(r"[ ]{0,3}(?:[-+*>|]|\d{1,9}[.)])(?:[ \t\n|]|(?<=[>|]))")
