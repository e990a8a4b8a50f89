"""The PostgreSQL store: write and remove documents of a collection, and search it.

Writing locks the collection's document rows in order before it looks at anything, and removing looks for references
only after it has locked, so that one run cannot remove what another one is just attaching an item to.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.stores.copying import SIGNATURE, TRAILER, chunk_rows
from leasehold.types import Chunk

PACKAGE = "leasehold.stores"
HEADING_JOINT = " › "
EXACT_MAX = 100_000
"""Chunks of a collection up to which vectors are compared one by one (measured: 0.5 ms a thousand); above, an index."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as a collection stores it. `vectors[i]` belongs to `chunks[i]`."""

    collection_id: int
    document_id: int
    recipe: bytes
    title: str
    chunks: Sequence[Chunk]
    vectors: Sequence[array[float]]


@dataclass(frozen=True, slots=True)
class Hit:
    document_id: int
    ordinal: int
    score: float
    text: str
    line_start: int
    line_end: int
    heading: str
    title: str
    path: str
    root: str
    copies: int


def has_pgvector(session: Session) -> bool:
    """Whether vectors are compared by pgvector in this database."""
    return bool(session.fetch(load(PACKAGE, "has_pgvector"))[0][0])


def write(connection: Connection, documents: Sequence[Stored], *, pgvector: bool) -> int:
    """Within the caller's transaction: store *documents*; how many chunks were written.

    A document that is stored under the same recipe already is left as it is; its row is locked all the same.
    """
    ordered = sorted({(one.collection_id, one.document_id): one for one in documents}.items())
    fresh = {
        (collection_id, document_id)
        for collection_id, document_id in execute(
            connection,
            load(PACKAGE, "upsert_documents"),
            (
                [one.collection_id for _, one in ordered],
                [one.document_id for _, one in ordered],
                [one.recipe for _, one in ordered],
                [len(one.chunks) for _, one in ordered],
                [one.title for _, one in ordered],
            ),
        )
    }
    writing = [one for key, one in ordered if key in fresh]
    if not writing:
        return 0
    execute(
        connection,
        load(PACKAGE, "delete_chunks"),
        ([one.collection_id for one in writing], [one.document_id for one in writing]),
    )
    rows = (
        (one.collection_id, one.document_id, ordinal, chunk.text, chunk.line_start, chunk.line_end,
         HEADING_JOINT.join(chunk.heading), vector)
        for one in writing
        for ordinal, (chunk, vector) in enumerate(zip(one.chunks, one.vectors, strict=True))
    )  # fmt: skip
    with connection.cursor() as cursor, cursor.copy(load(PACKAGE, "copy_chunks")) as copy:  # type: ignore[arg-type]
        copy.write(SIGNATURE)
        for row in chunk_rows(rows, pgvector=pgvector):
            copy.write(row)
        copy.write(TRAILER)
    return sum(len(one.chunks) for one in writing)


def remove_unused(connection: Connection, collection_id: int, document_ids: Sequence[int]) -> int:
    """Within the caller's transaction: remove those documents that no item of the collection's sources has any more."""
    if not document_ids:
        return 0
    params = (collection_id, sorted(set(document_ids)))
    execute(connection, load(PACKAGE, "lock_documents"), params)
    return len(execute(connection, load(PACKAGE, "remove_unused"), params))


def search(
    session: Session, collection_id: int, question: str, vector: array[float], *, limit: int, pgvector: bool
) -> list[Hit]:
    """The best *limit* chunks by vectors and words together (reciprocal rank fusion), best first.

    Source: reciprocal rank fusion with k = 60 is Cormack, Clarke and Buettcher, SIGIR 2009.
    """
    statement = load(PACKAGE, "search" if pgvector else "search_exact")
    if pgvector and _has_index(session, collection_id):  # the index is on the vector with its width
        statement = statement.replace("c.embedding <=>", f"c.embedding::vector({len(vector)}) <=>")
    numbers = ",".join(f"{value:.7g}" for value in vector)
    literal = f"[{numbers}]" if pgvector else f"{{{numbers}}}"
    rows = session.fetch(
        statement,
        {"collection_id": collection_id, "question": question, "vector": literal, "limit": limit, "pool": limit * 5 + 20},
    )
    return [Hit(*row) for row in rows]


def ensure_vector_index(session: Session, collection_id: int, dimensions: int) -> bool:
    """Build the collection's vector index if it has grown past exact search and has none; True if it was built."""
    if not has_pgvector(session) or _has_index(session, collection_id):
        return False
    if not session.fetch(load(PACKAGE, "is_large"), (collection_id, EXACT_MAX))[0][0]:
        return False
    statement = load(PACKAGE, "create_vector_index")
    session.connection.execute(statement.format(collection_id=int(collection_id), dimensions=int(dimensions)).encode())
    return True


def _has_index(session: Session, collection_id: int) -> bool:
    return bool(session.fetch(load(PACKAGE, "has_vector_index"), (f"chunk_vector_{collection_id}_ix",))[0][0])
