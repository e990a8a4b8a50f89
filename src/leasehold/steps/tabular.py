"""Tables in text (CSV, TSV): rows as lines of cells, with the header row as the heading.

A cell means little without its column, and a chunk from the middle of a table has no header in it; so the header goes
into the heading path, which stands beside every chunk. Quoted newlines stay newlines: they are lines of the file.

Reading never fails. What the csv module refuses (a quote that is never closed swallows the rest of the file and soon
passes its limit on a cell) is read as plain lines, with a note.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from leasehold.steps.blocks import BlockBuilder, short_heading
from leasehold.steps.decoding import decode
from leasehold.steps.text import whole
from leasehold.types import Parsed

READER_VERSION = 1

DELIMITERS = ",;\t|"
SNIFF_LINES = 20
SNIFF_CHARS = 16_384


def read(data: bytes, media_type: str, name: str) -> Parsed:
    text, notes = decode(data)
    if not text or text.isspace():
        return Parsed((), notes=notes)
    builder = BlockBuilder()
    try:
        _add_rows(text, _delimiter(text[:SNIFF_CHARS]), builder)
    except csv.Error as error:
        return Parsed(whole(text), notes=(*notes, f"read as plain lines: {error}"))
    builder.end()
    return Parsed(tuple(builder.blocks), notes=notes)


def _add_rows(text: str, delimiter: str, builder: BlockBuilder) -> None:
    rows = csv.reader(_lines(text), delimiter=delimiter)
    line, first = 1, True
    for row in rows:
        cells = " | ".join(row).rstrip(" |")
        if cells:
            if first and is_header(row):
                builder.heading = (short_heading(cells),)
            first = False
            builder.add(cells, line)
        line = rows.line_num + 1


def _lines(text: str) -> Iterator[str]:
    """Lines as the csv module wants them, ended by `\\n` only: `splitlines` knows line ends that no editor counts."""
    return (found.group() for found in re.finditer(r"[^\n]*\n|[^\n]+", text))


def _delimiter(sample: str) -> str:
    """The delimiter most lines of *sample* agree on: how many lines have it as often as the first, then how often."""
    lines = [line for line in sample.split("\n")[:SNIFF_LINES] if line.strip()] or [""]

    def agreement(delimiter: str) -> tuple[int, int]:
        count = lines[0].count(delimiter)
        return (sum(line.count(delimiter) == count for line in lines), count) if count else (0, 0)

    return max(DELIMITERS, key=agreement)


def is_header(row: list[str]) -> bool:
    """A first row of different words, none of them a number, names the columns."""
    return len(row) > 1 and len(set(row)) == len(row) and not any(_is_value(cell) for cell in row)


def _is_value(cell: str) -> bool:
    return not cell.strip() or not any(char.isalpha() for char in cell)
