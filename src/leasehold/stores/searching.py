"""Searching the PostgreSQL store: the nearest vectors and the best word matches, fused by reciprocal rank.

Up to some 10^5 chunks every vector is compared, which is exact; above, an index (HNSW) finds nearly all of the nearest.
Without pgvector every vector is compared in SQL, whatever the number: exact, and some thirty times slower (6,000
chunks: 0.6 s).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.stores.pg import PACKAGE, has_pgvector

EXACT_MAX = 100_000
"""Chunks of a collection up to which vectors are compared one by one; above, an index. Measured, two busy cores: a
search of 24,000 chunks takes 90 ms, words included."""
WORDS_MAX = 64
"""Words of a question that full text looks for. A page of text as a question would match and rank everything."""
CANDIDATES_MAX = 1000
"""What an HNSW index can be asked for at most (pgvector's limit of ef_search)."""


@dataclass(frozen=True, slots=True)
class Hit:
    document_id: int
    ordinal: int
    score: float
    text: str
    line_start: int
    line_end: int
    heading: str
    place: list[list[Any]] | None
    title: str
    path: str
    root: str
    copies: int


@dataclass(frozen=True, slots=True)
class Weighing:
    """How near a vector must be to count (cosine distance, 0 to 2), and how much words weigh beside vectors."""

    far: float
    words: float


LEXICAL = Weighing(far=0.85, words=2.0)
"""For hashed vectors: farther ones share a word by chance of hashing only, and full text knows words better."""
MEANING = Weighing(far=2.0, words=1.0)
"""For a model's vectors: what is far differs from model to model, so only the order counts, and both count the same."""

NEARNESS = "c.embedding <=> %(vector)s::vector"
"""How the statement compares vectors: by pgvector's operator, which an index can serve."""


def search(
    session: Session,
    collection_id: int,
    question: str,
    vector: array[float],
    *,
    limit: int,
    pgvector: bool,
    weighing: Weighing = LEXICAL,
    only: tuple[list[int], list[int]] | None = None,
) -> list[Hit]:
    """The best *limit* chunks by vectors and words together (reciprocal rank fusion), best first.

    Args:
        question: text that PostgreSQL can hold (no NUL, no surrogate).
        only: items and their documents to look at; None: all. Among these every vector is compared: an index would
            give the nearest of all, of which none may be allowed.

    Source: reciprocal rank fusion with k = 60 is Cormack, Clarke and Buettcher, SIGIR 2009.
    """
    pool = limit * 5 + 75
    numbers = ",".join(f"{value:.7g}" for value in vector)
    params = {
        "collection_id": collection_id,
        "question": question,
        "vector": f"[{numbers}]" if pgvector else f"{{{numbers}}}",
        "limit": limit,
        "pool": pool,
        "words_max": WORDS_MAX,
        "items": only[0] if only else None,
        "documents": only[1] if only else None,
        "far": weighing.far,
        "words_weight": weighing.words,
    }

    def ask(connection: Connection) -> list[Hit]:
        statement = load(PACKAGE, "search")
        if not pgvector:
            statement = statement.replace(NEARNESS, load(PACKAGE, "exact_distance").strip())
        if (
            pgvector and only is None and _has_index(connection, collection_id)
        ):  # it is on the vector with its width, in one collection
            statement = statement.replace("c.embedding <=>", f"c.embedding::vector({len(vector)}) <=>")
            statement = statement.replace("%(collection_id)s /* by vector */", str(int(collection_id)))
            execute(connection, load(PACKAGE, "set_candidates"), (str(min(pool, CANDIDATES_MAX)),))
        return [Hit(*row) for row in execute(connection, statement, params)]

    return session.run(ask)


def around(session: Session, collection_id: int, hits: Sequence[Hit], n: int) -> list[tuple[list[str], list[str]]]:
    """For each hit the texts of up to *n* chunks before it and after it, in the document's order."""
    params = {
        "collection_id": collection_id,
        "documents": [hit.document_id for hit in hits],
        "ordinals": [hit.ordinal for hit in hits],
        "around": n,
    }
    found: list[tuple[list[str], list[str]]] = [([], []) for _ in hits]
    for ord_, distance, text in session.fetch(load(PACKAGE, "around"), params):
        found[ord_ - 1][distance > 0].append(text)
    return found


def ensure_vector_index(session: Session, collection_id: int, dimensions: int) -> bool:
    """Build the collection's vector index if it has grown past exact search and has none; True if it was built.

    One process at a time for a collection: the caller has its turn. What an interrupted build left is built again.
    """
    if not has_pgvector(session) or session.run(lambda connection: _has_index(connection, collection_id)):
        return False
    if not session.fetch(load(PACKAGE, "is_large"), (collection_id, EXACT_MAX))[0][0]:
        return False
    names = {"collection_id": int(collection_id), "dimensions": int(dimensions)}
    connection = session.connection
    for name in ("vector_index_memory", "drop_vector_index", "create_vector_index"):  # not inside a transaction
        if name != "vector_index_memory" or not connection.shared:  # behind a pooler it would be left to strangers
            connection.execute(load(PACKAGE, name).format(**names).encode())
    return True


def drop_vector_index(session: Session, collection_id: int) -> None:
    """Remove the collection's vector index, if it has one."""
    if session.run(lambda connection: _has_index(connection, collection_id)):
        session.connection.execute(load(PACKAGE, "drop_vector_index").format(collection_id=int(collection_id)).encode())


def _has_index(connection: Connection, collection_id: int) -> bool:
    return bool(execute(connection, load(PACKAGE, "has_vector_index"), (f"chunk_vector_{collection_id}_ix",))[0][0])
