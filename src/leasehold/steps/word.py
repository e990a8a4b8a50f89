"""Word documents (DOCX): paragraphs and table rows under their headings, numbered as they come.

A Word file has no lines and no pages before it is laid out, so what is counted are paragraphs; a table row counts as
one. Headings are known by their style, whatever language its name is in. Foot- and endnotes come last, under a heading
of their own. Not read: headers and footers (they repeat), comments, deleted text, macros, pictures.
"""

from __future__ import annotations

import re
from typing import Any

from leasehold.steps.blocks import BlockBuilder, short_heading
from leasehold.steps.office_xml import Attributes, Properties, Relations, Walker, beside, resolved, said, walk
from leasehold.steps.zips import Zip
from leasehold.types import Parsed, Place

READER_VERSION = 1

PLACE: Place = (("counts", "paragraph"),)
BODY = "word/document.xml"
BREAKS = {"tab": "\t", "br": " ", "cr": " ", "noBreakHyphen": "-", "ptab": "\t"}
UNREAD = frozenset({"Fallback", "del", "moveFrom", "instrText", "delText", "delInstrText"})
"""Not the text as it reads now; `Fallback` repeats a text box for old programs."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    with Zip(data) as file:
        body = _body(file)
        relations = _relations(file, body)
        levels = _levels(file, body, relations)
        builder = BlockBuilder()
        builder.place = PLACE
        walker = _Body(builder, levels)
        walk(file.pieces(body), walker, part=body)
        walker.close()
        for kind in ("footnotes", "endnotes"):
            for target in relations.by_type.get(kind, [])[:1]:
                if (part := resolved(body, target)) in file:
                    builder.under((kind.capitalize(),))
                    walk(file.pieces(part), walker, part=part)
                    walker.close()
        builder.end()
        notes = ("its macros were not read",) if any(one.endswith("vbaProject.bin") for one in file.names) else ()
        return Parsed(tuple(builder.blocks), title_of(file) or walker.title, notes)


def title_of(file: Zip) -> str:
    """The title in the properties of an office file, if somebody gave it one."""
    properties = Properties()
    if "docProps/core.xml" in file:
        walk(file.pieces("docProps/core.xml"), properties, part="docProps/core.xml")
    return short_heading(said(properties.title))


def _body(file: Zip) -> str:
    """The main part; its name is nearly always the same, and the relations of the package say it."""
    if BODY in file or "_rels/.rels" not in file:
        return BODY
    return next((resolved("", one) for one in _relations(file, "").by_type.get("officeDocument", [])), BODY)


def _relations(file: Zip, part: str) -> Relations:
    found, where = Relations(), beside(part)
    if where in file:
        walk(file.pieces(where), found, part=where)
    return found


def _levels(file: Zip, body: str, relations: Relations) -> dict[str, int]:
    """Style id → level of heading."""
    styles = _Styles()
    for target in relations.by_type.get("styles", [])[:1]:
        if (part := resolved(body, target)) in file:
            walk(file.pieces(part), styles, part=part)
    return styles.levels()


class _Styles(Walker):
    """Paragraph styles: a level by outline or by the name that every language of Word keeps, or the parent's."""

    def __init__(self) -> None:
        self._own: dict[str, int] = {}
        self._parents: dict[str, str] = {}
        self._style = ""

    def start(self, name: str, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        if name == "style":
            self._style = attributes.get("styleId", "")
        elif name == "basedOn":
            self._parents[self._style] = value
        elif name == "outlineLvl" and value.isdigit():
            self._own.setdefault(self._style, int(value[:3]) + 1)
        elif name == "name":
            if found := re.fullmatch(r"heading (\d)", value.lower()):
                self._own[self._style] = int(found[1])
            elif value.lower() == "title":
                self._own[self._style] = 1

    def levels(self) -> dict[str, int]:
        found = dict(self._own)
        for style in self._parents:
            above, steps = style, 0
            while above not in self._own and above in self._parents and steps < 20:
                above, steps = self._parents[above], steps + 1
            if above in self._own:
                found[style] = self._own[above]
        return {style: level for style, level in found.items() if 1 <= level <= 9}


class _Paragraph:
    """A paragraph that is being read; text boxes put paragraphs into paragraphs."""

    __slots__ = ("level", "parts")

    def __init__(self) -> None:
        self.level = 0
        self.parts: list[str] = []


class _Body(Walker):
    def __init__(self, builder: BlockBuilder, levels: dict[str, int]) -> None:
        self.builder = builder
        self.title = ""
        self._levels = levels
        self._paragraphs: list[_Paragraph] = []
        self._path: list[tuple[int, str]] = []
        self._number = 0
        self._unread: list[str] = []
        self._reading = False
        self._tables = 0
        self._cells: list[list[str]] = []
        self._actions: dict[str, Any] = {
            "p": self._begin_paragraph, "pStyle": self._style, "outlineLvl": self._outline, "t": self._begin_text,
            "tbl": self._begin_table, "tr": self._begin_row, "tc": self._begin_cell,
        }  # fmt: skip

    def close(self) -> None:
        """What is not closed in one part does not reach into the next."""
        self._paragraphs.clear()
        self._unread.clear()
        self._tables, self._reading = 0, False

    def start(self, name: str, attributes: Attributes) -> None:
        if name in UNREAD:
            self._unread.append(name)
        if self._unread:
            return
        if name in self._actions:
            self._actions[name](attributes)
        elif name in BREAKS and self._paragraphs:
            self._paragraphs[-1].parts.append(BREAKS[name])

    def text(self, said: str) -> None:
        if self._reading and self._paragraphs and not self._unread:
            self._paragraphs[-1].parts.append(said)

    def end(self, name: str) -> None:
        if self._unread:
            if name == self._unread[-1]:
                self._unread.pop()
            return
        if name == "t":
            self._reading = False
        elif name == "p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif name == "tr" and self._tables == 1:
            self._end_row()
        elif name == "tbl" and self._tables:
            self._tables -= 1
            if not self._tables:
                self.builder.flush()

    def _begin_paragraph(self, _: Attributes) -> None:
        self._paragraphs.append(_Paragraph())

    def _style(self, attributes: Attributes) -> None:
        if self._paragraphs:
            self._paragraphs[-1].level = self._levels.get(attributes.get("val", ""), 0)

    def _outline(self, attributes: Attributes) -> None:
        value = attributes.get("val", "")
        if self._paragraphs and value.isdigit() and int(value[:3]) < 9:
            self._paragraphs[-1].level = int(value[:3]) + 1

    def _begin_text(self, _: Attributes) -> None:
        self._reading = True

    def _begin_table(self, _: Attributes) -> None:
        self._tables += 1
        if self._tables == 1:
            self.builder.flush()
            self._cells = []

    def _begin_row(self, _: Attributes) -> None:
        if self._tables == 1:
            self._cells = []

    def _begin_cell(self, _: Attributes) -> None:
        if self._tables == 1:
            self._cells.append([])

    def _end_row(self) -> None:
        row = " | ".join(" ".join(cell) for cell in self._cells).strip()
        self._number += 1
        if row.strip("| "):
            self.builder.add(row, self._number)

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        words = said("".join(paragraph.parts))
        if self._tables:
            if words and self._cells:
                self._cells[-1].append(words)
            return
        self._number += 1
        if not words:
            return
        if paragraph.level:
            self._enter(paragraph.level, words)
        self.builder.add(words, self._number)
        self.builder.flush()

    def _enter(self, level: int, words: str) -> None:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, short_heading(words)))
        self.builder.under(tuple(title for _, title in self._path))
        self.title = self.title or self._path[-1][1]
