"""The PostgreSQL store: write and remove documents of a collection.

Every writer first locks the collection's document rows it will touch, in order, the ones it attaches to and the ones it
leaves, and removing looks for references only after it has locked. So one run cannot remove what another one is just
attaching an item to, and two runs that swap their documents do not wait for each other.

Not here: searching (`searching`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.stores.copying import SIGNATURE, TRAILER, chunk_rows
from leasehold.types import Chunk

PACKAGE = "leasehold.stores"
HEADING_JOINT = " › "
COPY_BYTES = 65_536
"""Rows are sent in pieces of about this size: a call per row costs more than the row."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as a collection stores it. `vectors` is little-endian float32; each chunk has an equal part."""

    collection_id: int
    document_id: int
    recipe: bytes
    title: str
    chunks: Sequence[Chunk]
    vectors: bytes | bytearray
    notes: Sequence[str] = ()


def has_pgvector(session: Session) -> bool:
    """Whether vectors are compared by pgvector in this database."""
    return bool(session.fetch(load(PACKAGE, "has_pgvector"))[0][0])


def write(
    connection: Connection,
    documents: Sequence[Stored],
    *,
    pgvector: bool,
    leaving: Mapping[int, Sequence[int]] | None = None,
) -> int:
    """Within the caller's transaction: store *documents*; how many chunks were written.

    A document that is stored under the same recipe already is left as it is; its row is locked all the same.

    Args:
        leaving: documents by collection that the caller will ask to remove afterwards; locked with the others.
    """
    ordered = sorted({(one.collection_id, one.document_id): one for one in documents}.items())
    _lock(connection, [key for key, _ in ordered], leaving or {})
    fresh = _announce(connection, [one for _, one in ordered])
    writing = [one for key, one in ordered if key in fresh]
    if not writing:
        return 0
    execute(
        connection,
        load(PACKAGE, "delete_chunks"),
        ([one.collection_id for one in writing], [one.document_id for one in writing]),
    )
    with connection.cursor() as cursor, cursor.copy(load(PACKAGE, "copy_chunks")) as copy:
        buffer = bytearray(SIGNATURE)
        for row in chunk_rows(_rows(writing), pgvector=pgvector):
            buffer += row
            if len(buffer) > COPY_BYTES:
                copy.write(bytes(buffer))
                buffer.clear()
        copy.write(bytes(buffer) + TRAILER)
    return sum(len(one.chunks) for one in writing)


def _lock(connection: Connection, keys: Sequence[tuple[int, int]], leaving: Mapping[int, Sequence[int]]) -> None:
    wanted = sorted({*keys, *((collection, one) for collection, ids in leaving.items() for one in ids)})
    if wanted:
        params = ([collection for collection, _ in wanted], [document for _, document in wanted])
        execute(connection, load(PACKAGE, "lock_documents"), params)


def _announce(connection: Connection, documents: Sequence[Stored]) -> set[tuple[int, int]]:
    if not documents:
        return set()
    columns = (
        [one.collection_id for one in documents],
        [one.document_id for one in documents],
        [one.recipe for one in documents],
        [len(one.chunks) for one in documents],
        [one.title for one in documents],
        ["\n".join(one.notes) for one in documents],
    )
    return set(execute(connection, load(PACKAGE, "upsert_documents"), columns))


def _rows(
    documents: Sequence[Stored],
) -> Iterator[tuple[int, int, int, str, int, int, str, bytes | None, bytes | bytearray]]:
    for one in documents:
        width = len(one.vectors) // len(one.chunks)
        for ordinal, chunk in enumerate(one.chunks):
            yield (one.collection_id, one.document_id, ordinal, chunk.text, chunk.line_start, chunk.line_end,
                   HEADING_JOINT.join(chunk.heading), _place(chunk),
                   one.vectors[ordinal * width : (ordinal + 1) * width])  # fmt: skip


def _place(chunk: Chunk) -> bytes | None:
    """The chunk's place and box as pairs, from the outside inwards; nothing for a plain line of a file."""
    if not chunk.place and chunk.box is None:
        return None
    return orjson.dumps([*chunk.place, *([("box", chunk.box)] if chunk.box else [])])


def remove_unused(connection: Connection, collection_id: int, document_ids: Sequence[int]) -> int:
    """Within the caller's transaction: remove those documents that no item of the collection's sources has any more."""
    if not document_ids:
        return 0
    ids = sorted(set(document_ids))
    _lock(connection, [], {collection_id: ids})
    return len(execute(connection, load(PACKAGE, "remove_unused"), (collection_id, ids)))
