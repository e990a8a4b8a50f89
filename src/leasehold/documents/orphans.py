"""Orphans: results and documents that nothing refers to any more, and collecting them.

A result is needed when it is part of what some collection's documents are made of, under the collection's parameters.
What was made under parameters that were tried and left is an orphan: it is kept, because going back to them then costs
nothing, until somebody collects it. Nothing is collected that is younger than asked, and nothing beside an ingest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents.collections import keep, refuse_beside_work
from leasehold.documents.rows import PACKAGE


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


def _keep_all(connection: Connection) -> None:
    execute(connection, load(PACKAGE, "kept_make"))
    for (collection_id,) in execute(connection, load(PACKAGE, "collection_ids")):
        keep(connection, collection_id)


def _kinds(rows: list[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    return {kind: (number, size) for kind, number, size in rows}
