"""Presentations (PPTX): what stands on each slide, in the order of the show, and what its speaker notes say.

A slide's title is its heading. Tables are read row by row. Not read: masters and layouts (they repeat), comments,
charts, pictures.
"""

from __future__ import annotations

from leasehold.steps.blocks import short_heading
from leasehold.steps.office_xml import Attributes, Relations, Walker, beside, numbers_in, resolved, said, walk
from leasehold.steps.word import title_of
from leasehold.steps.zips import Zip
from leasehold.types import Block, Parsed, Place, StepError

READER_VERSION = 1

SHOW = "ppt/presentation.xml"
TITLES = frozenset({"title", "ctrTitle"})
PAGE_MARKS = frozenset({"sldNum", "dt", "ftr", "hdr", "sldImg"})
"""Placeholders that hold what every page has."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    with Zip(data) as file:
        blocks: list[Block] = []
        for number, part in enumerate(_slides(file), 1):
            slide = _read(file, part)
            heading = (short_heading(slide.title),) if slide.title else ()
            blocks += _block(slide, heading, (("slide", number),))
            for target in _relations(file, part).by_type.get("notesSlide", [])[:1]:
                if (notes := resolved(part, target)) in file:
                    blocks += _block(_read(file, notes), heading, (("slide", number), ("notes", True)))
        macros = ("its macros were not read",) if any(one.endswith("vbaProject.bin") for one in file.names) else ()
        return Parsed(
            tuple(blocks), title_of(file) or next((one.heading[0] for one in blocks if one.heading), ""), macros
        )


def _slides(file: Zip) -> list[str]:
    """The slides in the order of the show; without a list of them, by their names."""
    show = _Show()
    if SHOW in file:
        walk(file.pieces(SHOW), show, part=SHOW)
    targets = _relations(file, SHOW).targets
    found = [part for one in show.slides if one in targets and (part := resolved(SHOW, targets[one])) in file]
    named = [one for one in file.names if one.startswith("ppt/slides/slide") and one.endswith(".xml")]
    if not found and not named:
        raise StepError(
            "damaged", "a presentation without slides", remedy="Save it again with the program it came from."
        )
    return found or sorted(named, key=numbers_in)


def _relations(file: Zip, part: str) -> Relations:
    found, where = Relations(), beside(part)
    if where in file:
        walk(file.pieces(where), found, part=where)
    return found


def _read(file: Zip, part: str) -> _Slide:
    slide = _Slide()
    walk(file.pieces(part), slide, part=part)
    return slide


def _block(slide: _Slide, heading: tuple[str, ...], place: Place) -> list[Block]:
    return [Block("\n".join(slide.lines), 1, heading, place)] if slide.lines else []


class _Show(Walker):
    """The relation ids of the slides, in order."""

    def __init__(self) -> None:
        self.slides: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sldId":  # r:id beside a plain id, which is a number
            self.slides += [value for value in attributes.values() if not value.isdigit()]


class _Slide(Walker):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.title = ""
        self._kind = ""
        self._parts: list[str] = []
        self._reading = False
        self._cells: list[str] | None = None
        self._unread = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Fallback":
            self._unread += 1
        elif name == "sp":
            self._kind = ""
        elif name == "ph":
            self._kind = attributes.get("type", "body")
        elif name == "p":
            self._parts = []
        elif name == "t":
            self._reading = True
        elif name in ("br", "tab"):
            self._parts.append(" ")
        elif name == "tr":
            self._cells = []
        elif name == "tc" and self._cells is not None:
            self._cells.append("")

    def text(self, said: str) -> None:
        if self._reading and not self._unread:
            self._parts.append(said)

    def end(self, name: str) -> None:
        if name == "Fallback":
            self._unread -= 1
        elif name == "t":
            self._reading = False
        elif name == "p":
            self._end_paragraph(said("".join(self._parts)))
            self._parts = []
        elif name == "tr" and self._cells is not None:
            row = " | ".join(self._cells).strip()
            self.lines += [row] if row.strip("| ") else []
            self._cells = None

    def _end_paragraph(self, words: str) -> None:
        if not words or self._kind in PAGE_MARKS:
            return
        if self._cells:
            self._cells[-1] = f"{self._cells[-1]} {words}".strip()
            return
        if self._kind in TITLES:
            self.title = f"{self.title} {words}".strip()
        self.lines.append(words)
