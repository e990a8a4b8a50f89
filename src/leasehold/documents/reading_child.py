"""What a sandbox's child does for documents: it looks at a file, reads it, reads a part of it, puts parts together.

A request names what to do and has the open file beside it; the file's content is digested here, so that the worker
holds no document that somebody else reads. The answer is one of

    read      empty, notes; the body is the parsed document, as it will be saved
    look      sha256, media_type
    split     the document has too many pages to be read at once: how many, and what it says of itself
    same      it is still the file that was looked at
    part      what must be known of a part's pages; the body are its pages
    changed   the file is not the one that was looked at
    error     a StepError

Not here: processes and limits (`sandbox`), which file it is (`readings`).
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from typing import Any

import orjson

from leasehold.artifacts import coding
from leasehold.sources.folder import read_file
from leasehold.steps import media, pdf, readers
from leasehold.steps.detection import detect, essence
from leasehold.steps.reading import read
from leasehold.types import Block, Parsed, StepError

PIECE_BYTES = 1 << 20
HELD_BYTES_MAX = 8 << 20
"""A larger PDF is not held: its reader takes from the file what it needs, and its digest is made twice."""

Answer = tuple[dict[str, Any], bytes | bytearray]


def serve(request: dict[str, Any], files: list[int]) -> Answer:
    """Answer one request; see above."""
    try:
        return _ANSWERS[request["do"]](request, files[0]) if files else ({}, b"")
    except StepError as error:
        return {
            "error": {
                "reason": error.reason,
                "detail": error.detail,
                "error_class": str(error.error_class),
                "remedy": error.remedy,
            }
        }, b""


def _look(request: dict[str, Any], file: int) -> Answer:
    """Mapped, not read: what looks at it wants its start and its end. Cut short meanwhile, it ends this process."""
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as data:
        sha256 = _digest(file, request["max_bytes"] + 1)
        return {"look": {"sha256": sha256, "media_type": detect(request["name"], data)}}, b""


def _read(request: dict[str, Any], file: int) -> Answer:
    by_pages = _by_pages(request["media_type"])
    if by_pages and request["size"] > HELD_BYTES_MAX and os.path.exists(_path(file)):
        return _unheld(request, file)
    data = read_file(file, request["size"], max_bytes=request["max_bytes"])
    if hashlib.sha256(data).hexdigest() != request["sha256"]:
        return {"changed": True}, b""
    if by_pages:
        return _by_page(data, request["split_pages"])
    parsed = read(data, media_type=request["media_type"], name=request["name"])
    del data
    return _parsed(parsed)


def _unheld(request: dict[str, Any], file: int) -> Answer:
    """Read without holding it: it may be edited meanwhile, and then nothing that was found is true of it, damage
    included."""
    if not _same(request, file):
        return {"changed": True}, b""
    try:
        answer = _by_page(_path(file), request["split_pages"])
    except StepError:
        if _same(request, file):
            raise
        return {"changed": True}, b""
    return answer if _same(request, file) else ({"changed": True}, b"")


def _parsed(parsed: Parsed) -> Answer:
    if is_empty(parsed.blocks):
        return {"read": {"empty": True, "notes": list(parsed.notes)}}, b""
    return {"read": {"empty": False, "notes": []}}, coding.parsed_to_bytes(parsed)


def is_empty(blocks: tuple[Block, ...]) -> bool:
    return not any(block.text.strip() for block in blocks)


# -- documents of many pages ------------------------------------------------------------------------------------------


def _by_pages(media_type: str) -> bool:
    """Whether it is our own reader's to read by pages: a plug-in for the type reads it whole."""
    found = readers.find(media_type)
    return essence(media_type) == media.PDF and found is not None and found.source == readers.OURS


def _path(file: int) -> str:
    """The open file under a name, for a library that wants to open it: read piece by piece, not held."""
    return f"/proc/self/fd/{file}"


def _by_page(given: bytes | str, split_pages: int) -> Answer:
    with pdf.opened(given) as document:
        front = pdf.front_of(document)
        if split_pages and front.pages > split_pages:
            return {"split": _front_as_json(front)}, b""
        pages, tally = pdf.pages_of(document, 0, front.pages)
    book = pdf.Book(front, [tally])
    blocks = tuple(book.blocks(pages))
    return _parsed(Parsed(blocks, book.title, book.notes))


def _part(request: dict[str, Any], file: int) -> Answer:
    path = _path(file)
    given = path if os.path.exists(path) else b"".join(_pieces(file, 0, os.fstat(file).st_size))
    with pdf.opened(given) as document:
        pages, tally = pdf.pages_of(document, request["first"], request["end"])
    body = orjson.dumps([[(one.texts, one.size, one.table, one.box) for one in page] for page in pages])
    told = {"sizes": list(tally.sizes.items()), "unread": tally.unread, "written": tally.written}
    return {"part": told}, body


def _check(request: dict[str, Any], file: int) -> Answer:
    """Whether the file is still the one whose parts were read."""
    return ({"same": True} if _same(request, file) else {"changed": True}), b""


def _join(request: dict[str, Any], file: int) -> Answer:
    """The parts, one behind the other in *file*, as one document; one part at a time is held."""
    tallies = [pdf.Tally(dict(one["sizes"]), one["unread"], one["written"])
               for one in request["tallies"]]  # fmt: skip
    book = pdf.Book(_front_of_json(request["front"]), tallies)
    writer, empty = coding.ParsedWriter(), True
    for pages in _parts(request["sizes"], file):
        blocks = tuple(book.blocks(pages))
        empty = empty and is_empty(blocks)
        writer.add(blocks)
    if empty:
        return {"read": {"empty": True, "notes": list(book.notes)}}, b""
    return {"read": {"empty": False, "notes": []}}, writer.content(book.title, book.notes)


def _parts(sizes: list[int], file: int) -> Iterator[pdf.Pages]:
    at = 0
    for size in sizes:
        rows = orjson.loads(b"".join(_pieces(file, at, size)))
        at += size
        yield [[pdf.Paragraph(tuple(texts), kind, table, tuple(box) if box else None)
                for texts, kind, table, box in page] for page in rows]  # fmt: skip


def _pieces(file: int, at: int, size: int) -> Iterator[bytes]:
    end = at + size
    while at < end and (piece := os.pread(file, min(PIECE_BYTES, end - at), at)):
        at += len(piece)
        yield piece


def _same(request: dict[str, Any], file: int) -> bool:
    return _digest(file, request["max_bytes"] + 1) == str(request["sha256"])


def _digest(file: int, most: int) -> str:
    state = hashlib.sha256()
    for piece in _pieces(file, 0, most):
        state.update(piece)
    return state.hexdigest()


def _front_as_json(front: pdf.Front) -> dict[str, Any]:
    return {"pages": front.pages, "title": front.title, "outline": list(front.outline.items())}


def _front_of_json(front: dict[str, Any]) -> pdf.Front:
    outline = {page: [(level, title) for level, title in marks] for page, marks in front["outline"]}
    return pdf.Front(front["pages"], front["title"], outline)


_ANSWERS = {"look": _look, "read": _read, "part": _part, "check": _check, "join": _join}
