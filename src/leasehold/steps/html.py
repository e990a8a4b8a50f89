"""HTML: the text a visitor reads, under the headings it stands below, at the lines of the source.

No HTML library tells where in the file a piece of text stood, and the line is half of a search answer. So this is a
scanner over tags, comments and text that never builds a tree: block-level tags end a block, `h1` to `h6` make the
heading path, and what is not for reading (scripts, styles, templates, navigation, footers, asides, what is hidden,
notices about cookies) is passed over.

Scanning never fails and never goes back: where a construct is not closed, it is closed by the end of the file, or its
`<` is text. If leaving out navigation leaves nothing, the page is read again with it, because some pages put all they
have into an `aside` or forget to close a `nav`.
"""

from __future__ import annotations

import re
from functools import cache
from html import unescape

from leasehold.steps.blocks import BlockBuilder, short_heading, too_fine
from leasehold.steps.decoding import clean, decode
from leasehold.types import Parsed

READER_VERSION = 2

_BLOCKS = """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu nav ol optgroup option p pre section
    select summary table tbody tfoot thead title tr ul
"""
BLOCK_TAGS = frozenset(_BLOCKS.split())
PARAGRAPHS = frozenset({"p", "div", "center"})
"""Within a cell of a table these end nothing: the row is what belongs together."""
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
RAW_TAGS = frozenset({"script", "style", "iframe", "noembed", "noframes", "xmp", "textarea", "title"})
"""Their content has no tags in it and ends only at their own end tag."""
UNREAD_TAGS = frozenset({"script", "style", "iframe", "noembed", "noframes", "template", "svg"})
LAYOUT_TAGS = frozenset({"nav", "footer", "aside", "dialog"})
BOXES = frozenset({"div", "section", "header", "ul", "ol", "form", "table", "menu"})
"""Tags that are always closed, and so can be passed over up to their end."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    text, notes = decode(data)
    parsed = read_text(text)
    return Parsed(parsed.blocks, parsed.title, (*notes, *parsed.notes))


def read_text(text: str) -> Parsed:
    """Read a page that is text already, as a part of a mail is."""
    notes: tuple[str, ...] = ()
    page = _Page(text, UNREAD_TAGS | LAYOUT_TAGS)
    page.scan()
    if not page.builder.blocks:
        page = _Page(text, UNREAD_TAGS)
        page.scan()
        if page.builder.blocks:
            notes = ("read with navigation and footers: there is no text outside of them",)
    return Parsed(tuple(page.builder.blocks), title=page.title, notes=notes)


class _Page:
    """One pass over the source; text goes to the builder with its line."""

    def __init__(self, text: str, unread: frozenset[str]) -> None:
        self.text = text
        self.unread = unread
        self.builder = BlockBuilder()
        self.title = ""
        self._line, self._counted = 1, 0
        self._skipping, self._depth = "", 0
        self._heading_level = 0
        self._path: list[tuple[int, str]] = []
        self._pre = 0
        self._between = ""
        self._cell = False

    def scan(self) -> None:
        position, text = 0, self.text
        end_of_markup = text.rfind(">") + 1  # no tag can end later, and so none is looked for in vain
        while found := _markup().search(text, position, end_of_markup):
            self._text(position, found.start())
            position = found.end()
            if found["name"]:
                name = found["name"].lower()
                if not found["slash"] and name in BOXES and not self._skipping and self._is_boilerplate(found):
                    self._skipping, self._depth = name, 0
                position = self._tag(name, bool(found["slash"]), position)
        self._text(position, len(text))
        self._end_block()
        self.builder.end()

    def _tag(self, name: str, closing: bool, position: int) -> int:
        """Take in a tag; return where reading goes on."""
        if self._skipping:
            self._depth += (-1 if closing else 1) if name == self._skipping else 0
            if self._depth == 0:
                self._skipping = ""
            return self._past_raw(name, position) if name in RAW_TAGS and not closing else position
        if name in PARAGRAPHS and self._cell:
            self._between = self._between or " "
        elif name in BLOCK_TAGS:
            self._end_block()
            self._cell = False
            self._pre = max(0, self._pre + (-1 if closing else 1)) if name == "pre" else self._pre
        elif name in {"td", "th"} and not closing and not self.builder:
            self._cell = True
        elif name in {"td", "th"} and not closing:
            self._between = " | "
            self._cell = True
        elif name == "br":
            self._between = " "
        if name in HEADINGS and not too_fine(len(self.builder.blocks), position):
            self._heading_level = 0 if closing else HEADINGS[name]
            self.builder.end()
        if name in RAW_TAGS and not closing:
            return self._raw(name, position)
        if name in self.unread and not closing:
            self._skipping, self._depth = name, 1
        return position

    def _is_boilerplate(self, tag: re.Match[str]) -> bool:
        """Whether a box says of itself that it is no content; never asked when the page is read with everything."""
        return self.unread >= LAYOUT_TAGS and _boilerplate().search(tag.group()) is not None

    def _raw(self, name: str, position: int) -> int:
        end = self._past_raw(name, position)
        if name == "title" and not self.title:
            self.title = short_heading(clean(unescape(self.text[position:end].partition("</")[0])))
        elif name not in self.unread and name != "title":
            self._text(position, end)
        return end

    def _past_raw(self, name: str, position: int) -> int:
        closed = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(self.text, position)
        return closed.start() if closed else len(self.text)

    def _text(self, start: int, end: int) -> None:
        if start >= end or self._skipping:
            return
        self._line += self.text.count("\n", self._counted, start)
        self._counted = start
        for line, part in enumerate(self.text[start:end].split("\n"), self._line):
            self._add(part, line)

    def _add(self, part: str, line: int) -> None:
        if not part or part.isspace():
            self._between = self._between or (" " if part else "")
            return
        said = clean(unescape(part)).replace("\r", " ").replace("\n", " ") if "&" in part else part
        if self._pre:
            self.builder.add(said, line, self._between)
            self._between = ""
        elif squeezed := _blanks().sub(" ", said.strip(" \t\f")):
            self.builder.add(squeezed, line, self._between or (" " if said[0].isspace() else ""))
            self._between = " " if said[-1].isspace() else ""

    def _end_block(self) -> None:
        self._between = ""
        if self._heading_level and self.builder:
            self._enter(self._heading_level)
            self._heading_level = 0
        else:
            self.builder.flush()

    def _enter(self, level: int) -> None:
        """The block is a heading: it and what follows stand below it."""
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        title = short_heading(self.builder.text())
        self._path.append((level, title))
        self.builder.heading = tuple(above for _, above in self._path)
        self.builder.end()
        self.title = self.title or title


@cache
def _markup() -> re.Pattern[str]:
    """Comments, declarations and tags.

    Only a quote after `=` hides a `>`. Nothing here can fail after it has read far: the end of the range closes what
    is open, and repeats are possessive. That keeps a hostile page linear.
    """
    return re.compile(
        r"""<!--(?s:.*?)(?:-->|\Z)
          | <[!?][^>]*+(?:>|\Z)
          | <(?P<slash>/)?(?P<name>[a-zA-Z][a-zA-Z0-9:-]{0,40}+)(?=[\s/>])
             [^>=]*+(?:=\s*+(?:"[^"]*+"|'[^']*+')?+[^>=]*+)*+(?:>|\Z)
        """,
        re.VERBOSE,
    )


@cache
def _boilerplate() -> re.Pattern[str]:
    return re.compile(
        r"""\s(?:role\s*=\s*["']?(?:navigation|banner|contentinfo|search|dialog|alertdialog)\b
              | aria-hidden\s*=\s*["']?true\b | hidden(?=[\s/>=])
              | (?:id|class)\s*=\s*["'][^"']*\b(?:cookie|consent|gdpr)[-_]?(?:banner|notice|bar|popup|modal|consent)
            )""",
        re.VERBOSE | re.IGNORECASE,
    )


@cache
def _blanks() -> re.Pattern[str]:
    return re.compile(r"[ \t\f]{2,}|[\t\f]")
