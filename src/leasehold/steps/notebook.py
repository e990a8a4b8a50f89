"""Jupyter notebooks: cells in order, text cells as the Markdown they are, code with what it printed.

Lines count within a cell. A code cell stands under the heading that the text above it has. Pictures and other rich
output are left out. JSON that is no notebook is read as JSON.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leasehold.steps import json_text, markdown
from leasehold.steps.decoding import clean, decode, normalise_newlines
from leasehold.types import Block, Parsed

READER_VERSION = 1

OUTPUT_CHARS_MAX = 2_000
"""What a cell printed beyond this is cut: a loop's progress is no knowledge."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    cells = _cells(data)
    if cells is None:
        parsed = json_text.read(data, "application/json", name)
        return replace(parsed, notes=(*parsed.notes, "read as JSON: it is no notebook"))
    blocks: list[Block] = []
    heading: tuple[str, ...] = ()
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, dict):
            found = _blocks(cell, heading)
            blocks += (replace(block, place=(("cell", number),)) for block in found)
            heading = found[-1].heading if found and cell.get("cell_type") == "markdown" else heading
    title = next((block.heading[0] for block in blocks if block.heading), "")
    return Parsed(tuple(blocks), title)


def _cells(data: bytes) -> list[Any] | None:
    import orjson

    try:
        body = orjson.loads(decode(data)[0])
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    cells = body.get("cells")
    if cells is None and isinstance(body.get("worksheets"), list):  # before version 4
        sheets = [one for one in body["worksheets"] if isinstance(one, dict)]
        cells = [cell for sheet in sheets for cell in sheet.get("cells") or () if isinstance(cell, dict)]
    return cells if isinstance(cells, list) else None


def _blocks(cell: dict[str, Any], heading: tuple[str, ...]) -> list[Block]:
    source = _text(cell.get("source", cell.get("input", "")))
    kind = cell.get("cell_type")
    if kind == "markdown":
        return _markdown(source, heading)
    if kind == "heading" and source.strip():  # before version 4
        return _markdown(f"# {source}", ())
    lines = "\n".join([source, *_outputs(cell)]) if kind == "code" else source
    return [Block(lines, 1, heading)] if lines.strip() else []


def _markdown(source: str, heading: tuple[str, ...]) -> list[Block]:
    """Text under headings of its own, or else under those of the cell above."""
    found = markdown.read(source.encode(), "text/markdown", "").blocks
    return [block if block.heading else replace(block, heading=heading) for block in found]


def _outputs(cell: dict[str, Any]) -> list[str]:
    found = []
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict):
            continue
        rich = output.get("data")
        said = output.get("text") or (rich.get("text/plain") if isinstance(rich, dict) else None)
        if output.get("output_type") in ("error", "pyerr"):
            said = f"{output.get('ename')}: {output.get('evalue')}"
        if text := _text(said).strip():
            found.append(text[:OUTPUT_CHARS_MAX])
    return found


def _text(source: object) -> str:
    """Sources are a text, or a list of its lines."""
    if isinstance(source, list):
        source = "".join(one for one in source if isinstance(one, str))
    return normalise_newlines(clean(source)) if isinstance(source, str) else ""
