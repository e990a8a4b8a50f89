"""Workbooks (XLSX, ODS; XLS and XLSB with a package): rows of cells, sheet by sheet, with the header row as heading.

Lines are rows and columns are known, so an answer names its cells: `Rents!A2:C9`. Values are read as they were stored
when the file was saved, formulas as their results; dates in ISO form. Hidden sheets are read as well.

XLSX and ODS are read here, because a sheet is mostly nothing: a library that makes a rectangle of it takes half a
terabyte for two cells in opposite corners. The old binary formats are bounded by what they can express.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from leasehold.steps import media
from leasehold.steps.blocks import BlockBuilder, short_heading
from leasehold.steps.detection import essence
from leasehold.steps.office_xml import Attributes, Relations, Walker, beside, resolved, said, walk
from leasehold.steps.ole import check_chains
from leasehold.steps.opendocument import CONTENT, refuse_encrypted
from leasehold.steps.tabular import is_header
from leasehold.steps.word import title_of
from leasehold.steps.zips import Zip
from leasehold.types import Block, Parsed, StepError

READER_VERSION = 1

OLE = b"\xd0\xcf\x11\xe0"
BOOK = "xl/workbook.xml"
GAP_COLUMNS_MAX = 50
"""Empty cells between two others that are written as such; where there are more, they are far apart anyway."""
COPIES_MAX = 50
"""How often a cell that says it is repeated is repeated."""
REMEDY = "Open and save it again with the program it came from."

Cells = list[tuple[int, str]]
"""Column from 1, and what the cell says; only cells that say something."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    of = essence(media_type)
    if of == media.XLSX:
        return _read_xlsx(data)
    if of == media.ODS:
        return _read_ods(data)
    return _read_binary(data)


class Sheet:
    """The rows of one sheet that say something."""

    def __init__(self, name: str) -> None:
        self.name = said(name)
        self.rows: list[tuple[int, str]] = []
        self._header = ""
        self._first, self._last = 0, 0

    def add(self, number: int, cells: Cells) -> None:
        if not cells:
            return
        cells.sort(key=lambda cell: cell[0])
        if not self.rows and is_header([words for _, words in cells]):
            self._header = short_heading(" | ".join(words for _, words in cells))
        self._first = min(self._first or cells[0][0], cells[0][0])
        self._last = max(self._last, cells[-1][0])
        self.rows.append((number, _row(cells)))

    def blocks(self) -> list[Block]:
        builder = BlockBuilder()
        builder.heading = tuple(one for one in (short_heading(self.name), self._header) if one)
        builder.place = (("sheet", self.name), ("columns", f"{letters(self._first)}:{letters(self._last)}"))
        for number, row in sorted(self.rows, key=lambda one: one[0]):
            builder.add(row, number)
        builder.end()
        return builder.blocks


def _row(cells: Cells) -> str:
    parts, at = [cells[0][1]], cells[0][0]
    for column, words in cells[1:]:
        empty = column - at - 1
        parts += [""] * (empty if empty <= GAP_COLUMNS_MAX else 1)
        parts.append(words)
        at = column
    return " | ".join(parts)


def letters(column: int) -> str:
    """The name of a column from 1: A, Z, AA."""
    found = ""
    while column > 0:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found or "A"


def _column(reference: str) -> int:
    column = 0
    for char in reference[:4].upper():
        if not "A" <= char <= "Z":
            break
        column = column * 26 + ord(char) - 64
    return column


# -- XLSX -------------------------------------------------------------------------------------------------------------


def _read_xlsx(data: bytes) -> Parsed:
    with Zip(data) as file:
        book, relations = _Book(), Relations()
        if BOOK not in file:
            raise StepError("damaged", "a workbook without its list of sheets", remedy=REMEDY)
        walk(file.pieces(BOOK), book, part=BOOK)
        _walk(file, beside(BOOK), relations)
        strings, styles = _Strings(), _Styles()
        for kind, walker in (("sharedStrings", strings), ("styles", styles)):
            for target in relations.by_type.get(kind, [])[:1]:
                _walk(file, resolved(BOOK, target), walker)
        blocks: list[Block] = []
        for name, target in book.sheets:
            part = resolved(BOOK, relations.targets.get(target, ""))
            sheet = Sheet(name)
            _walk(file, part, _Cells(sheet, strings.found, styles.dates(), book.since))
            blocks += sheet.blocks()
        macros = ("its macros were not read",) if any(one.endswith("vbaProject.bin") for one in file.names) else ()
        return Parsed(tuple(blocks), title_of(file), macros)


def _walk(file: Zip, part: str, walker: Walker) -> None:
    if part in file:
        walk(file.pieces(part), walker, part=part)


class _Book(Walker):
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        self.since = datetime(1899, 12, 30)

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sheet":
            self.sheets.append((attributes.get("name", ""), attributes.get("id", "")))
        elif name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            self.since = datetime(1904, 1, 1)


class _Strings(Walker):
    """The texts that cells share, without the readings that are printed above Japanese words."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._parts: list[str] = []
        self._reading = False
        self._phonetic = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "si":
            self._parts = []
        elif name == "rPh":
            self._phonetic = True
        self._reading = name == "t" and not self._phonetic

    def text(self, said: str) -> None:
        if self._reading:
            self._parts.append(said)

    def end(self, name: str) -> None:
        self._reading = False
        if name == "si":
            self.found.append(said("".join(self._parts)))
        elif name == "rPh":
            self._phonetic = False


class _Styles(Walker):
    """Which cell styles show a number as a date."""

    def __init__(self) -> None:
        self._formats: dict[str, str] = {}
        self._cells: list[str] = []
        self._inside = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "numFmt":
            self._formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            self._inside = True
        elif name == "xf" and self._inside:
            self._cells.append(attributes.get("numFmtId", ""))

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._inside = False

    def dates(self) -> frozenset[str]:
        """Style indexes, as cells name them."""
        return frozenset(str(index) for index, of in enumerate(self._cells) if _is_date(of, self._formats.get(of)))


def _is_date(number: str, code: str | None) -> bool:
    if code is None:
        return number.isdigit() and (14 <= int(number[:4]) <= 22 or 45 <= int(number[:4]) <= 47)
    return _is_date_code(code)


@cache
def _is_date_code(code: str) -> bool:
    plain, quoted, skip = "", False, False
    for char in code.lower():
        if skip:
            skip = False
        elif char in '"[]':
            quoted = char == "[" or (char == '"' and not quoted)
        elif char in "\\_*":
            skip = True
        elif not quoted:
            plain += char
    return (any(char in plain for char in "ydhs") and not any(char in plain for char in "#0?@")) or plain in (
        "mmm",
        "mm/",
    )


class _Cells(Walker):
    """The cells of a sheet as they come; a row that has no number follows the one before."""

    def __init__(self, sheet: Sheet, strings: list[str], dates: frozenset[str], since: datetime) -> None:
        self._sheet, self._strings, self._dates, self._since = sheet, strings, dates, since
        self._row = 0
        self._column = 0
        self._cells: Cells = []
        self._kind = self._style = ""
        self._parts: list[str] = []
        self._reading = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "row":
            number = attributes.get("r", "")
            self._row = int(number[:9]) if number.isdigit() else self._row + 1
            self._column, self._cells = 0, []
        elif name == "c":
            self._column = _column(attributes.get("r", "")) or self._column + 1
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._parts = []
        elif name in ("v", "t"):
            self._reading = True

    def text(self, said: str) -> None:
        if self._reading:
            self._parts.append(said)

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._reading = False
        elif name == "c" and self._parts:
            if words := said(self._value("".join(self._parts))):
                self._cells.append((self._column, words))
            self._parts = []
        elif name == "row":
            self._sheet.add(self._row, self._cells)
            self._cells = []

    def _value(self, raw: str) -> str:
        if self._kind == "s":
            index = int(raw[:9]) if raw.strip().isdigit() else -1
            return self._strings[index] if 0 <= index < len(self._strings) else ""
        if self._kind == "b":
            return "true" if raw.strip() == "1" else "false"
        if self._kind == "n":
            return _number(raw, self._since if self._style in self._dates else None)
        return raw


def _number(raw: str, since: datetime | None) -> str:
    try:
        number = float(raw)
        if since is not None:
            return _date(since + timedelta(days=number))
    except (ValueError, OverflowError):
        return raw
    return f"{number:.15g}"


def _date(at: datetime) -> str:
    at = (at + timedelta(milliseconds=500)).replace(microsecond=0)
    if at.year < 1901:  # a time of day without a date
        return at.strftime("%H:%M:%S")
    return at.strftime("%Y-%m-%d") if (at.hour, at.minute, at.second) == (0, 0, 0) else at.strftime("%Y-%m-%d %H:%M:%S")


# -- ODS --------------------------------------------------------------------------------------------------------------


def _read_ods(data: bytes) -> Parsed:
    with Zip(data) as file:
        refuse_encrypted(file)
        tables = _Tables()
        walk(file.pieces(CONTENT), tables, part=CONTENT)
        return Parsed(tuple(block for sheet in tables.sheets for block in sheet.blocks()))


class _Tables(Walker):
    def __init__(self) -> None:
        self.sheets: list[Sheet] = []
        self._depth = 0
        self._row = 1
        self._rows = 1
        self._column = 1
        self._copies = 1
        self._cells: Cells = []
        self._parts: list[str] | None = None
        self._unread = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "annotation":
            self._unread += 1
        elif name == "table":
            self._depth += 1
            if self._depth == 1:
                self.sheets.append(Sheet(attributes.get("name", "")))
                self._row = 1
        elif name == "table-row" and self._depth == 1:
            self._rows = _times(attributes.get("number-rows-repeated", "1"))
            self._column, self._cells = 1, []
        elif name in ("table-cell", "covered-table-cell") and self._depth == 1:
            self._copies = _times(attributes.get("number-columns-repeated", "1"))
            self._parts = []
        elif name in ("s", "tab", "line-break", "p") and self._parts:
            self._parts.append(" ")

    def text(self, said: str) -> None:
        if self._parts is not None and not self._unread:
            self._parts.append(said)

    def end(self, name: str) -> None:
        if name == "annotation":
            self._unread -= 1
        elif name == "table":
            self._depth -= 1
        elif name in ("table-cell", "covered-table-cell") and self._depth == 1:
            if words := said("".join(self._parts or ())):
                self._cells += [(self._column + copy, words) for copy in range(min(self._copies, COPIES_MAX))]
            self._column += self._copies
            self._parts = None
        elif name == "table-row" and self._depth == 1:
            self.sheets[-1].add(self._row, self._cells)
            self._row += self._rows


def _times(text: str) -> int:
    return max(1, int(text[:9])) if text.isdigit() else 1


# -- XLS, XLSB --------------------------------------------------------------------------------------------------------


def _read_binary(data: bytes) -> Parsed:
    import python_calamine

    if data.startswith(OLE):
        check_chains(data)

    def load() -> list[Block]:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        return [block for name in book.sheet_names for block in _binary_sheet(book, name)]

    return Parsed(tuple(_guarded(load, python_calamine)))


def _binary_sheet(book: Any, name: str) -> list[Block]:
    found = book.get_sheet_by_name(name)
    sheet = Sheet(name)
    for number, row in enumerate(_rows(found), 1):
        cells = [(column, words) for column, value in enumerate(row, 1) if (words := said(_shown(value)))]
        sheet.add(number, cells)
    return sheet.blocks()


def _rows(sheet: Any) -> Iterator[list[Any]]:
    return iter(sheet.to_python(skip_empty_area=False))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime):
        return _date(value)
    return str(value)


def _guarded(load: Callable[[], list[Block]], python_calamine: Any) -> list[Block]:
    try:
        return load()
    except python_calamine.PasswordError:
        raise StepError("encrypted", "it is protected by a password", remedy="Save it without the password.") from None
    except MemoryError:
        raise
    except Exception as error:
        raise StepError("damaged", f"not a workbook that can be opened: {error}", remedy=REMEDY) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what Rust raises where it did not expect the file's content
            raise
        raise StepError("damaged", f"not a workbook that can be opened: {error}", remedy=REMEDY) from None
