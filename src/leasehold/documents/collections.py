"""Collections: what there is, how two differ, and taking one away with what only it needed.

A collection is dropped in one transaction, and only when no ingest of its sources has anything left to do: runs under
way would store into nothing. While it is dropped no ingest begins. Results that no other collection's documents are
made of go with it; what remains of parameters that were tried and left is `orphans`' matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents.recipes import Parameters, recipes
from leasehold.documents.rows import PACKAGE
from leasehold.errors import NotFound, Refused
from leasehold.stores import searching

SHOWN = 10
PAGE = 5000


@dataclass(frozen=True, slots=True)
class Summary:
    """A collection in numbers; `stored_at` is when it got its newest document."""

    collection_id: int
    name: str
    parameters: Parameters
    created_at: datetime
    sources: int
    documents: int
    chunks: int
    stored_at: datetime | None


@dataclass(frozen=True, slots=True)
class Side:
    """Documents on one side of a comparison; `same` of those in both are made of the same results."""

    documents: int
    same: int
    paths: list[str]


def summaries(session: Session, name: str | None = None) -> list[Summary]:
    """All collections, or the one called *name*.

    Raises:
        NotFound: there is none of that name.
    """
    rows = session.fetch(load(PACKAGE, "collections"), {"name": name})
    if name is not None and not rows:
        raise NotFound(f"There is no collection '{name}'.", remedy="Run `leasehold collection list`.", name=name)
    return [
        Summary(row[0], row[1], Parameters.from_json(json.loads(row[2])), *row[3:])
        for row in rows
    ]  # fmt: skip


def compare(session: Session, mine: str, other: str) -> dict[str, Side]:
    """The documents that only *mine* has, that only *other* has, and that both have: `mine`, `other`, `both`.

    Raises:
        NotFound: one of them does not exist.
    """
    ids = [summaries(session, name)[0].collection_id for name in (mine, other)]
    rows = session.fetch(load(PACKAGE, "compare_paths"), {"mine": ids[0], "other": ids[1], "shown": SHOWN})
    found = {side: Side(documents, same, list(paths)) for side, documents, same, paths in rows}
    return {side: found.get(side, Side(0, 0, [])) for side in ("mine", "other", "both")}


def drop(session: Session, name: str, *, beside_work: bool = False) -> Summary:
    """Remove a collection: its sources, items, documents and vectors, and the results that only it needed.

    The files themselves are not touched. Returns what it was.

    Args:
        beside_work: also when an ingest has work left; its runs find their items gone and end as skipped.

    Raises:
        NotFound: there is none.
        Refused: an ingest of it has work left; nothing was removed.
    """
    was = summaries(session, name)[0]
    session.run(lambda connection: _drop(connection, was, beside_work))
    searching.drop_vector_index(session, was.collection_id)
    return was


def _drop(connection: Connection, was: Summary, beside_work: bool) -> None:
    if not beside_work:
        refuse_beside_work(connection, was.collection_id)
    execute(connection, load(PACKAGE, "kept_make"))
    for (other,) in execute(connection, load(PACKAGE, "collection_ids")):
        if other != was.collection_id:
            keep(connection, other)
    for page in _pages(connection, was.collection_id):
        execute(connection, load(PACKAGE, "artifacts_only"), (page,))
    execute(connection, load(PACKAGE, "collection_forget"), {"collection": was.collection_id})


def refuse_beside_work(connection: Connection, collection_id: int | None) -> None:
    """Let no ingest begin until the caller's transaction ends, and refuse if one has work left (None: any).

    Raises:
        Refused: it names the source and its group.
    """
    execute(connection, load(PACKAGE, "stop_ingests"))
    working = execute(connection, load(PACKAGE, "groups_working"), {"collection": collection_id})
    if working:
        group_id, uri = working[0]
        raise Refused(
            f"An ingest of {uri} has work left.",
            remedy="Wait for it, run it again to its end, or cancel its group.",
            group=group_id,
        )


def keep(connection: Connection, collection_id: int) -> None:
    """Add to the table of what is kept every result that the collection's documents are made of."""
    for page in _pages(connection, collection_id):
        execute(connection, load(PACKAGE, "kept_put"), (page,))


def _pages(connection: Connection, collection_id: int) -> Iterator[list[bytes]]:
    """The names of a collection's results, under its parameters, a page at a time."""
    name = execute(connection, load(PACKAGE, "parameters_of"), (collection_id,))[0][0]
    parameters = Parameters.from_json(json.loads(name))
    rows = execute(connection, load(PACKAGE, "documents_of"), (collection_id,))
    for start in range(0, len(rows), PAGE):
        made = [recipes(bytes(sha256), media_type, parameters) for sha256, media_type in rows[start : start + PAGE]]
        yield [name for one in made for name in (one.parse, one.chunk, one.embed)]
