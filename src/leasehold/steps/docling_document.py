"""A DoclingDocument, as docling-serve gives it in JSON, as blocks with their pages, boxes and headings.

The document is a tree of references (`{"$ref": "#/texts/3"}`) from `body` into lists of texts, tables, pictures and
groups; the order of the tree is the reading order. Page headers and footers are furniture and left out. Each reference
is followed once, so that a tree that runs in a circle ends.

A box is turned over where docling counts from the bottom of the page. What has no page (DOCX, HTML) is counted in
paragraphs. Not here: how the document was made (`docling`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from leasehold.steps import limits
from leasehold.steps.blocks import short_heading
from leasehold.steps.decoding import clean
from leasehold.types import Block, Box, Parsed, Place, StepError

FURNITURE = frozenset({"page_header", "page_footer"})
LISTS = ("texts", "tables", "pictures", "groups", "key_value_items", "form_items", "field_regions", "field_items")
REFUSED = "no document in docling's answer"


def parsed_of(document: Any, notes: Iterable[str] = ()) -> Parsed:
    """The blocks of *document*.

    Raises:
        StepError: it is no DoclingDocument, or has more text than can be stored.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("body"), Mapping):
        raise StepError(REFUSED, "it has no body", remedy="Check that the server is a docling-serve of version 1.")
    try:
        made = _Reading(document)
        made.walk()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise StepError(REFUSED, f"{type(error).__name__}: {error}", remedy="Please report it.") from error
    return Parsed(tuple(made.blocks), made.title, tuple(clean(note) for note in notes))


class _Reading:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.blocks: list[Block] = []
        self.title = ""
        self._document = document
        self._seen: set[str] = set()
        self._path: list[tuple[int, str]] = []
        self._heights = {str(number): _height(page) for number, page in (document.get("pages") or {}).items()}
        self._at: dict[Place, int] = {}
        self._characters = 0

    def walk(self) -> None:
        left = list(reversed(self._document["body"].get("children") or ()))
        while left:
            item = self._item(left.pop())
            if item is None:
                continue
            label = item.get("label", "")
            if item.get("content_layer", "body") != "body" or label in FURNITURE:
                continue
            children = item.get("children") or []
            if label == "inline":
                self._add(item, " ".join(self._texts(children)))
            else:
                self._meet(item, label)
                left += reversed(children)

    def _item(self, reference: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What *reference* means; None for what was read already, or is not there."""
        name = reference.get("$ref") or reference.get("cref") or ""
        if name in self._seen:
            return None
        self._seen.add(name)
        of, _, index = name.removeprefix("#/").partition("/")
        items = self._document.get(of) if of in LISTS else None
        if not items or not index.isdigit() or int(index) >= len(items):
            return None
        found: Mapping[str, Any] = items[int(index)]
        return found

    def _texts(self, references: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        for reference in references:
            if (item := self._item(reference)) is not None:
                yield _text(item)
                yield from self._texts(item.get("children") or ())

    def _meet(self, item: Mapping[str, Any], label: str) -> None:
        for caption in self._texts(item.get("captions") or ()):
            self._add(item, caption)
        if "data" in item:
            self._add(item, "\n".join(_rows(item["data"])))
        elif "graph" in item:
            self._add(item, "\n".join(_text(cell) for cell in item["graph"].get("cells") or ()))
        elif label == "list_item":
            marker = str(item.get("marker") or "-")
            self._add(item, f"{marker} {_text(item)}")
        elif label in ("title", "section_header"):
            self._enter(0 if label == "title" else int(item.get("level") or 1), _text(item))
            self._add(item, _text(item))
        else:
            self._add(item, _text(item))
        for one in item.get("annotations") or ():
            if isinstance(one, Mapping) and one.get("kind") == "description":
                self._add(item, str(one.get("text") or ""))

    def _enter(self, level: int, text: str) -> None:
        heading = short_heading(clean(text))
        if not heading:
            return
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, heading))
        self.title = self.title or heading

    def _add(self, item: Mapping[str, Any], text: str) -> None:
        text = clean(text).strip()
        if not text:
            return
        self._characters += len(text)
        if self._characters > limits.TEXT_CHARS_MAX:
            raise StepError(limits.TOO_FAR, f"more than {limits.TEXT_CHARS_MAX:,} characters of text")
        where = (item.get("prov") or [None])[0]
        place: Place = (("page", int(where["page_no"])),) if where else (("counts", "paragraph"),)
        line = self._at.get(place, 1)
        self._at[place] = line + (text.count("\n") + 2 if where else 1)
        box = self._box(where) if where else None
        self.blocks.append(Block(text, line, tuple(title for _, title in self._path), place, box))

    def _box(self, where: Mapping[str, Any]) -> Box | None:
        given, height = where.get("bbox"), self._heights.get(str(where["page_no"]))
        if not given:
            return None
        left, top, right, bottom = (float(given[side]) for side in "ltrb")
        if given.get("coord_origin", "TOPLEFT") == "BOTTOMLEFT":
            if height is None:
                return None
            top, bottom = height - top, height - bottom
        return (round(left, 1), round(top, 1), round(right, 1), round(bottom, 1))


def _height(page: Mapping[str, Any]) -> float | None:
    height = (page.get("size") or {}).get("height")
    return float(height) if height is not None else None


def _text(item: Mapping[str, Any]) -> str:
    return str(item.get("text") or "")


def _rows(data: Mapping[str, Any]) -> Iterator[str]:
    """A table's rows; a cell that spans several is said once."""
    cells: dict[int, dict[int, str]] = {}
    for cell in data.get("table_cells") or ():
        row = cells.setdefault(int(cell["start_row_offset_idx"]), {})
        row[int(cell["start_col_offset_idx"])] = " ".join(_text(cell).split())
    for _, row in sorted(cells.items()):
        if line := " | ".join(text for _, text in sorted(row.items())).strip(" |"):
            yield line
