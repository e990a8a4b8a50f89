"""Orphans: results and documents that nothing refers to any more, and collecting them.

A result is needed when it is part of what some collection's documents are made of, under the collection's parameters.
What was made under parameters that were tried and left is an orphan: it is kept, because going back to them then costs
nothing, until somebody collects it. Nothing is collected that is younger than asked, and nothing beside an ingest.

What lies in a store outside the database goes in two steps: the row, whose object becomes a stray with it, and then,
when that has committed, the strays by their exact keys. Whatever interrupts the second, the next collecting goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leasehold.artifacts import database
from leasehold.artifacts.keeping import Artifacts
from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents.collections import keep, refuse_beside_work
from leasehold.documents.rows import PACKAGE
from leasehold.errors import ArtifactStoreAway, NotFound

PAGE = 1000
GRACE_S = 3600.0
"""An object that was noted and never referred to is left alone for so long, however soon the caller would have it gone:
its writer may have lost its lease and be writing still."""


@dataclass(frozen=True, slots=True)
class Results:
    """Results by kind: (number, bytes as stored); and documents without an item."""

    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    documents: int = 0

    @property
    def number(self) -> int:
        return sum(number for number, _ in self.kinds.values())

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.kinds.values())


def totals(session: Session) -> Results:
    """All results there are."""
    return Results(_kinds(session.fetch(load(PACKAGE, "artifacts_total"))))


def orphaned(session: Session, *, older_than_s: float) -> Results:
    """What `collect` would remove. Writes nothing that stays."""

    def look(connection: Connection) -> Results:
        _keep_all(connection)
        documents = execute(connection, load(PACKAGE, "documents_orphaned"), (older_than_s,))[0][0]
        return Results(_kinds(execute(connection, load(PACKAGE, "artifacts_orphaned"), (older_than_s,))), documents)

    return session.run(look)


def collect(session: Session, *, older_than_s: float) -> Results:
    """Remove the results and documents that nothing refers to and that are older; what was removed.

    Raises:
        Refused: an ingest has work left, and may be about to refer to them; nothing was removed.
    """

    def remove(connection: Connection) -> Results:
        refuse_beside_work(connection, None)
        _keep_all(connection)
        documents = execute(connection, load(PACKAGE, "documents_orphaned"), (older_than_s,))[0][0]
        gone = Results(_kinds(execute(connection, load(PACKAGE, "artifacts_orphaned"), (older_than_s,))), documents)
        execute(connection, load(PACKAGE, "artifacts_collect"), (older_than_s,))
        execute(connection, load(PACKAGE, "documents_collect"), (older_than_s,))
        return gone

    return session.run(remove)


def strays(session: Session, *, older_than_s: float) -> int:
    """How many objects `sweep` would remove."""
    found, after = 0, (0, "")
    while page := database.strays(session, older_than_s=max(older_than_s, GRACE_S), after=after, limit=PAGE):
        after, found = page[-1], found + len(page)
    return found


@dataclass(slots=True)
class Swept:
    """Objects removed from stores; and the stores that could not be reached, with why: their strays stay noted."""

    objects: int = 0
    away: dict[str, str] = field(default_factory=dict)


def sweep(session: Session, artifacts: Artifacts, *, older_than_s: float = GRACE_S) -> Swept:
    """Remove from their stores the objects that nothing refers to. Safe beside anything, and to be done again."""
    done, after = Swept(), (0, "")
    away: set[int] = set()
    while page := database.strays(session, older_than_s=max(older_than_s, GRACE_S), after=after, limit=PAGE):
        after = page[-1]
        gone = []
        for store_id, key in page:
            if store_id in away:
                continue
            try:
                artifacts.store_of(session, store_id)[0].delete(key)
                gone.append((store_id, key))
            except ArtifactStoreAway as error:
                away.add(store_id)
                done.away[_url(session, store_id)] = error.message
        database.cross_out(session, gone)
        done.objects += len(gone)
    return done


@dataclass(frozen=True, slots=True)
class Lying:
    """What lies in one place: a store's address, or `db:`."""

    url: str
    results: int
    bytes: int
    strays: int


def places(session: Session) -> list[Lying]:
    """Where results lie; stores that are known and empty too."""
    urls = {one.store_id: str(one.address) for one in database.stores(session)}
    found = {row[0]: row[1:] for row in session.fetch(load(PACKAGE, "artifacts_by_store"))}
    return [
        Lying("db:" if store_id is None else urls[store_id], *found.get(store_id, (0, 0, 0)))
        for store_id in (None, *urls)
    ]


def forget(session: Session, url: str, *, really: bool) -> Lying:
    """Forget a store that is lost: its results count as not made. What was there, unless *really* only looked at.

    Raises:
        NotFound: there is no store of that address.
        Refused: an ingest has work left; nothing was forgotten.
    """
    known = {text: one.store_id for one in database.stores(session) for text in (one.address.url, str(one.address))}
    if url not in known:
        remedy = "Run `leasehold artifact show`; it lists the stores."
        raise NotFound(f"No artifact store {url} is known.", remedy=remedy)
    was = next(one for one in places(session) if one.url in (url, _url(session, known[url])))

    def remove(connection: Connection) -> None:
        refuse_beside_work(connection, None)
        execute(connection, load(PACKAGE, "artifacts_forget"), {"store": known[url]})

    if really:
        session.run(remove)
    return was


def _url(session: Session, store_id: int) -> str:
    return next(str(one.address) for one in database.stores(session) if one.store_id == store_id)


def _keep_all(connection: Connection) -> None:
    execute(connection, load(PACKAGE, "kept_make"))
    for (collection_id,) in execute(connection, load(PACKAGE, "collection_ids")):
        keep(connection, collection_id)


def _kinds(rows: list[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    return {kind: (number, size) for kind, number, size in rows}
