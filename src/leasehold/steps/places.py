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

JOINTS = {"member": "!", "part": "."}
"""How a place inside a place of the same kind is written; any other kind of the inner one wins."""
LINELESS = frozenset({"page", "slide", "sheet", "chapter", "counts"})
"""Where a line is our way to count and nothing that a person finds again."""


def inside(outer: Place, inner: Place) -> Place:
    """The place *inner* of a document that itself stands at *outer*."""
    found: dict[str, str | int] = dict(outer)
    for kind, value in inner:
        if kind in found:
            value = f"{found.pop(kind)}{JOINTS[kind]}{value}" if kind in JOINTS else value  # noqa: PLW2901
        found[kind] = value
    return tuple(found.items())


def as_json(pairs: Iterable[Sequence[Any]], first: int, last: int) -> dict[str, Any]:
    """The place of lines *first* to *last* as `--json` gives it: `{"sheet": "Rents", "cells": "A2:C9"}`."""
    found: dict[str, Any] = {str(kind): value for kind, value in pairs}
    if "columns" in found:
        found["cells"] = _cells(str(found.pop("columns")), first, last)
    if "counts" in found:
        found[str(found.pop("counts"))] = first
    return found


def described(pairs: Iterable[Sequence[Any]], first: int, last: int, line: int) -> str:
    """The place in a few words: `a.eml, part 2, page 3`; with the line where a person can find it by that."""
    pairs = list(pairs)
    kinds = {kind for kind, _ in pairs}
    place = as_json(pairs, first, last)
    place.pop("box", None)
    words = []
    for kind, value in place.items():
        if kind == "member":
            words.append(str(value))
        elif kind == "sheet":
            words.append(f"{value}!{place['cells']}")
        elif kind == "notes":
            words[-1:] = [f"{words[-1]} (notes)"] if words else ["notes"]
        elif kind != "cells":
            words.append(f"{kind} {value}")
    return ", ".join(words if kinds & LINELESS else [*words, f"line {line}"])


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
