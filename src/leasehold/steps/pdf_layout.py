"""The layout of a PDF page: lines with their boxes, ruled tables, columns that were written across.

A PDF is a list of drawing instructions; words, lines, paragraphs and tables are what a reader makes of them. The order
of the text is the order in which it was drawn, which is nearly always the order in which it is read, two columns
included. Three things are found from geometry: tables, where lines are ruled around cells; two columns that a program
drew line by line across both; and paragraphs, by the distance of lines.

Tables without rules are read as lines. Rules inside form objects are not looked at.

Work is bounded: for each line two boxes are asked for, for each table cell the page's text is gone through once; a page
with more rules, cells or characters than any real one is read as lines.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from leasehold.types import Box

RULES_MAX = 600
CELL_WORK_MAX = 50_000_000
"""Cells times characters of a page."""
OBJECTS_MAX = 20_000
SEGMENTS_MAX = 200
TOUCH = 3.0
"""Points by which two rules may miss each other and still meet."""
GUTTER = 8.0
"""Points between two columns at least."""
ROWS_ACROSS_MIN = 6
PATH, LINE_TO = 2, 0  # FPDF_PAGEOBJ_PATH, FPDF_SEGMENT_LINETO
BULLETS = str.maketrans({"\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "‣", "\uf0fc": "✓", "\uf02d": "-"})
"""Symbols of fonts that have no Unicode, as office programs draw them before items of a list."""
SOFT_HYPHEN = "\ufffe"
"""What pdfium writes where a word was hyphenated at the end of a line and is whole again."""


@dataclass(slots=True)
class Line:
    """A line of text, or a table as one; left, bottom, right, top in the page's own coordinates."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    table: bool = False

    @property
    def height(self) -> float:
        return max(1.0, self.top - self.bottom)


@dataclass(frozen=True, slots=True)
class Page:
    """A page's lines and tables in reading order. `width` and `height` as a viewer shows it; `origin` its corner."""

    lines: list[Line]
    origin: tuple[float, float]
    upright: bool

    def box(self, lines: Iterable[Line]) -> Box | None:
        """The rectangle around *lines*, from the top left corner; None on a page that is shown turned."""
        found = list(lines)
        if not self.upright or not found:
            return None
        left, top = self.origin
        return (
            round(min(one.left for one in found) - left, 1),
            round(top - max(one.top for one in found), 1),
            round(max(one.right for one in found) - left, 1),
            round(top - min(one.bottom for one in found), 1),
        )


def layout(page: Any, raw: Any) -> Page:
    """What is on *page* (of pypdfium2) in reading order; *raw* is `pypdfium2.raw`."""
    textpage = page.get_textpage()
    try:
        text = textpage.get_text_range()
        left, _, _, top = page.get_bbox()
        if not text.strip():
            return Page([], (left, top), True)
        lines = list(_lines(textpage, raw, text))
        lines = _with_tables(textpage, lines, _tables(page, raw), len(text))
        lines = _columns(textpage, lines)
        return Page(lines, (left, top), page.get_rotation() == 0)
    finally:
        textpage.close()


def _lines(textpage: Any, raw: Any, text: str) -> Iterator[Line]:
    astral = not text.isascii() and max(text) > "\uffff"
    at = 0
    for part in text.split("\r\n"):
        body = part.rstrip()
        units = len(part.encode("utf-16-le", "surrogatepass")) // 2 if astral else len(part)
        if body.strip():
            first = at + len(part) - len(part.lstrip())
            last = at + len(body.encode("utf-16-le", "surrogatepass")) // 2 - 1 if astral else at + len(body) - 1
            yield _line(textpage, raw, body.strip().replace(SOFT_HYPHEN, "").translate(BULLETS), first, last)
        at += units + 2


def _line(textpage: Any, raw: Any, text: str, first: int, last: int) -> Line:
    """Its type size is the height of its first character: font sizes in the file may be scaled by anything."""
    begin, end = (raw.FPDFText_GetCharIndexFromTextIndex(textpage, one) for one in (first, last))
    boxes = [box for box in (_char(textpage, raw, begin), _char(textpage, raw, end)) if box]
    if not boxes:
        return Line(text, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Line(text, min(box[0] for box in boxes), min(box[1] for box in boxes), max(box[2] for box in boxes),
                max(box[3] for box in boxes), boxes[0][3] - boxes[0][1])  # fmt: skip


def _char(textpage: Any, raw: Any, index: int) -> tuple[float, float, float, float] | None:
    rect = raw.FS_RECTF()
    if index < 0 or not raw.FPDFText_GetLooseCharBox(textpage, index, rect):
        return None
    return (rect.left, rect.bottom, rect.right, rect.top)


# -- tables -----------------------------------------------------------------------------------------------------------

Rule = tuple[float, float, float]
"""Where it lies across its direction, and from where to where it goes along it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A ruled table: the x of its columns' borders rising, the y of its rows' falling."""

    xs: list[float]
    ys: list[float]

    def holds(self, line: Line) -> bool:
        x, y = (line.left + min(line.right, line.left + 4)) / 2, (line.bottom + line.top) / 2
        return self.xs[0] - TOUCH < x < self.xs[-1] + TOUCH and self.ys[-1] - TOUCH < y < self.ys[0] + TOUCH


def _tables(page: Any, raw: Any) -> list[Grid]:
    across, down = _rules(page, raw)
    if not 2 <= len(across) <= RULES_MAX or not 2 <= len(down) <= RULES_MAX:
        return []
    return [grid for group in _touching(across, down) if (grid := _grid(*group)) is not None]


def _rules(page: Any, raw: Any) -> tuple[list[Rule], list[Rule]]:
    """The horizontal and the vertical rules: thin strokes and boxes, and the edges of boxes drawn around cells."""
    across: list[Rule] = []
    down: list[Rule] = []
    for index in range(min(raw.FPDFPage_CountObjects(page), OBJECTS_MAX)):
        found = raw.FPDFPage_GetObject(page, index)
        if raw.FPDFPageObj_GetType(found) != PATH or raw.FPDFPath_CountSegments(found) > SEGMENTS_MAX:
            continue
        left, bottom, right, top = (ctypes.c_float() for _ in range(4))
        if not raw.FPDFPageObj_GetBounds(found, left, bottom, right, top):
            continue
        x0, y0, x1, y1 = left.value, bottom.value, right.value, top.value
        if y1 - y0 <= TOUCH < x1 - x0:
            across.append(((y0 + y1) / 2, x0, x1))
        elif x1 - x0 <= TOUCH < y1 - y0:
            down.append(((x0 + x1) / 2, y0, y1))
        elif raw.FPDFPath_CountSegments(found) in (4, 5) and x1 - x0 > TOUCH and y1 - y0 > TOUCH:
            across += [(y0, x0, x1), (y1, x0, x1)]
            down += [(x0, y0, y1), (x1, y0, y1)]
    return across, down


def _touching(across: list[Rule], down: list[Rule]) -> Iterator[tuple[list[Rule], list[Rule]]]:
    """Groups of rules that meet, each rule in one."""
    left = set(range(len(down)))
    todo = set(range(len(across)))
    while todo:
        mine, theirs, edge = set(), set(), {todo.pop()}
        while edge:
            mine |= edge
            met = {one for one in left if any(_meet(across[row], down[one]) for row in edge)}
            left -= met
            theirs |= met
            edge = {row for row in todo if any(_meet(across[row], down[one]) for one in met)}
            todo -= edge
        yield [across[one] for one in sorted(mine)], [down[one] for one in sorted(theirs)]


def _meet(row: Rule, column: Rule) -> bool:
    y, x0, x1 = row
    x, y0, y1 = column
    return x0 - TOUCH <= x <= x1 + TOUCH and y0 - TOUCH <= y <= y1 + TOUCH


def _grid(across: list[Rule], down: list[Rule]) -> Grid | None:
    xs, ys = _places(one[0] for one in down), _places(one[0] for one in across)
    if len(xs) < 2 or len(ys) < 2 or (len(xs) - 1) * (len(ys) - 1) < 2:
        return None
    return Grid(xs, ys[::-1])


def _places(values: Iterable[float]) -> list[float]:
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > TOUCH:
            found.append(value)
    return found


def _with_tables(textpage: Any, lines: list[Line], grids: list[Grid], characters: int) -> list[Line]:
    """*lines* with each table in the place of its first line."""
    for grid in grids:
        inside = [index for index, line in enumerate(lines) if not line.table and grid.holds(line)]
        cells = (len(grid.xs) - 1) * (len(grid.ys) - 1)
        if not inside or cells * characters > CELL_WORK_MAX:
            continue
        table = _table(textpage, grid)
        if table is None:
            continue
        held = set(inside)
        lines = [table if index == inside[0] else line for index, line in enumerate(lines)
                 if index == inside[0] or index not in held]  # fmt: skip
    return lines


def _table(textpage: Any, grid: Grid) -> Line | None:
    rows = []
    for top, bottom in pairwise(grid.ys):
        cells = [_cell(textpage, left, bottom, right, top) for left, right in pairwise(grid.xs)]
        if any(cells):
            rows.append(" | ".join(cells).strip())
    if not rows or (len(rows) == 1 and "|" not in rows[0]):
        return None
    return Line("\n".join(rows), grid.xs[0], grid.ys[-1], grid.xs[-1], grid.ys[0], 0.0, table=True)


def _cell(textpage: Any, left: float, bottom: float, right: float, top: float) -> str:
    text = textpage.get_text_bounded(left + 0.5, bottom + 0.5, right - 0.5, top - 0.5)
    return " ".join(text.replace(SOFT_HYPHEN, "").split())


# -- columns ----------------------------------------------------------------------------------------------------------


def _columns(textpage: Any, lines: list[Line]) -> list[Line]:
    """*lines*; where two columns were drawn across both, line by line, the left column first, then the right."""
    pieces = [textpage.get_rect(index) for index in range(min(textpage.count_rects(), OBJECTS_MAX))]
    if len(pieces) < len(lines) + ROWS_ACROSS_MIN:
        return lines  # no line is made of two
    across = [
        (one, two)
        for one, two in pairwise(pieces)
        if two[0] - one[2] >= GUTTER and min(one[3], two[3]) - max(one[1], two[1]) > (one[3] - one[1]) / 2
    ]
    gutter = _gutter(across, pieces)
    if gutter is None:
        return lines
    top = max(max(one[3], two[3]) for one, two in across)
    bottom = min(min(one[1], two[1]) for one, two in across)
    mixed = [line for line in lines if not line.table and bottom - 1 <= (line.bottom + line.top) / 2 <= top + 1]
    if not mixed:
        return lines
    left, right = min(line.left for line in mixed), max(one[2] for one in pieces)
    size = mixed[0].size
    columns = [
        line
        for x0, x1 in ((left, gutter), (gutter, right))
        for line in _bounded(textpage, x0 - 1, bottom - 1, x1 + 1, top + 1, size)
    ]
    held = {id(line) for line in mixed}
    first = next(index for index, line in enumerate(lines) if id(line) in held)
    return [
        *lines[:first],
        *columns,
        *(line for line in lines[first:] if id(line) not in held),
    ]


def _gutter(across: list[tuple[Any, Any]], pieces: list[Any]) -> float | None:
    """The x that parts two columns of running text; None where it is a table, or only a line or two."""
    if len(across) < ROWS_ACROSS_MIN:
        return None
    low, high = max(one[2] for one, _ in across), min(two[0] for _, two in across)
    if high - low < GUTTER:
        return None
    width = max(one[2] for one in pieces) - min(one[0] for one in pieces)
    wide = sum(one[2] - one[0] > width / 4 and two[2] - two[0] > width / 4 for one, two in across)
    return (low + high) / 2 if wide > len(across) * 0.7 else None


def _bounded(textpage: Any, left: float, bottom: float, right: float, top: float, size: float) -> Iterator[Line]:
    """The lines within a column; their height is an equal share of it, which is near enough for a box."""
    text = textpage.get_text_bounded(left, bottom, right, top).replace(SOFT_HYPHEN, "")
    found = [part.strip() for part in text.split("\r\n") if part.strip()]
    share = (top - bottom) / max(1, len(found))
    for index, part in enumerate(found):
        yield Line(part, left, top - (index + 1) * share, right, top - index * share, size)
