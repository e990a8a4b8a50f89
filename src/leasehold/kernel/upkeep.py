"""Upkeep: what should have been done by somebody and was not: partitions ahead, seals, leases taken back.

Each is asked by the predicate of whoever should have done it. Reading only. Not here: what it means (the doctor).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leasehold.db.session import Session
from leasehold.db.statements import load

PACKAGE = "leasehold.kernel"


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table in ranges: the one being filled, and whether there are partitions for it and for the next."""

    table: str
    range: int
    now: bool
    next: bool


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A group that waits for its seal alone; opened `age_s` ago."""

    group_id: int
    label: str
    runs: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Overdue:
    """A lease that nobody has taken back: past its deadline, else its holder is not heard any more."""

    token: int
    kind: str
    holder: str
    pid: int
    steps: int
    step_id: int
    past_deadline: bool
    since_s: float


def partitions(session: Session) -> list[Partitioned]:
    """Whether every table that stands in ranges has its partitions, ahead too."""
    return [Partitioned(*row) for row in session.fetch(load(PACKAGE, "partitions_ahead"))]


def detached(session: Session) -> list[tuple[str, int]]:
    """(name, bytes) of tables that a prune has detached and not dropped."""
    return [(name, int(size)) for name, size in session.fetch(load(PACKAGE, "tables_detached"))]


def unsealed(session: Session, *, age_s: float, limit: int) -> list[Unsealed]:
    """Groups opened longer than *age_s* ago that have nothing to do and are not sealed."""
    return [Unsealed(*row) for row in session.fetch(load(PACKAGE, "groups_unsealed"), (age_s, limit))]


def overdue(session: Session, *, since_s: float, limit: int) -> list[Overdue]:
    """Leases that should have been taken back more than *since_s* ago."""
    return [Overdue(*row) for row in session.fetch(load(PACKAGE, "leases_overdue"), (since_s, limit))]


def clock(session: Session) -> tuple[datetime, datetime | None]:
    """The database's time now, and the latest that work has written down; None when it has written nothing."""
    now, latest = session.fetch(load(PACKAGE, "clock_marks"))[0]
    return now, latest
