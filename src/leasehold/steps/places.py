"""Places: how a stored place is shown to a person, and as JSON.

A place is what a reader wrote: pairs of kind and value, from the outside inwards. Lines count within it. Three kinds
say what the lines are: `columns` (of a sheet; its lines are rows, so lines and columns together name cells), `counts`
(what is counted instead of lines: paragraphs), and no such kind for lines of text.

The kinds our readers write:

member        an entry of an archive, by its name made safe to show; nested ones joined with `!`
mail, part    a message of a mailbox, from 1; a part of a message, numbered as mail programs do: `2.1`
conversation  of a chat export, from 1
page, box     of a PDF, from 1; the rectangle on it in points from its top left corner
slide, notes  of a presentation, from 1; whether it is what the speaker notes say
sheet         of a workbook, by name, with `columns`
chapter       of a book, from 1
cell          of a notebook, from 1

Not here: finding places (the readers), keeping them (`stores`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from leasehold.types import Place

JOINT = "!"
"""Between a container and what is in it, when both are of one kind: `backup.zip!notes/a.md`."""
LINELESS = frozenset({"page", "slide", "sheet", "chapter", "counts"})
"""Where a line is our way to count and nothing that a person finds again."""


def inside(outer: Place, inner: Place) -> Place:
    """The place *inner* of a document that itself stands at *outer*."""
    if outer and inner and outer[-1][0] == inner[0][0]:
        return (*outer[:-1], (inner[0][0], f"{outer[-1][1]}{JOINT}{inner[0][1]}"), *inner[1:])
    return (*outer, *inner)


def as_json(pairs: Iterable[Sequence[Any]], first: int, last: int, line: int) -> dict[str, Any]:
    """The place of lines *first* to *last*, of which *line* fits best: `{"sheet": "Rents", "cells": "A2:C9"}`."""
    found: dict[str, Any] = {}
    for kind, value in pairs:  # an archive in a mail in an archive has two members
        found[str(kind)] = f"{found[kind]}{JOINT}{value}" if kind in found else value
    if "columns" in found:
        found["cells"] = _cells(str(found.pop("columns")), first, last)
    if "counts" in found:
        found[str(found.pop("counts"))] = line
    return found


def described(pairs: Iterable[Sequence[Any]], first: int, last: int, line: int) -> str:
    """The place in a few words: `a.eml, part 2, page 3`; with the line where a person can find it by that."""
    words: list[str] = []
    known = dict(pairs := [(str(kind), value) for kind, value in pairs])
    for kind, value in pairs:
        if kind == "member":
            words.append(str(value))
        elif kind == "sheet":
            words.append(f"{value}!{_cells(str(known.get('columns', 'A')), first, last)}")
        elif kind == "notes":
            words[-1:] = [f"{words[-1]} (notes)"] if words else ["notes"]
        elif kind == "counts":
            words.append(f"{value} {line}")
        elif kind not in ("columns", "box"):
            words.append(f"{kind} {value}")
    return ", ".join(words if LINELESS & set(known) else [*words, f"line {line}"])


def _cells(columns: str, first: int, last: int) -> str:
    left, _, right = columns.partition(":")
    right = right or left
    return f"{left}{first}" if (left, first) == (right, last) else f"{left}{first}:{right}{last}"


def shown_name(name: str) -> str:
    """A member's name as it is safe to show: nothing that steers a terminal, and no way out of a folder.

    Nothing is ever written under such a name; it is shown, stored and compared only.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    safe = "/".join("%2E%2E" if part == ".." else part for part in parts)
    return "".join(_shown(char) for char in safe[:NAME_CHARS_MAX])


NAME_CHARS_MAX = 300


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
