"""Seats: places at resources, held by leases or by processes that have no step; and limits, how many there are.

A resource is whatever only so many may use at once: the one writer of an index, a kind's share of all workers, a
provider's slots. A lock is a resource with one seat. Seats are rows made beforehand; usage is counted from them.

The five verbs for a holder without a step: `take`, keep (its heartbeat, `holders.heartbeat`, whose answer names the
tokens it still has), `give_back`, take away (`break_`), look (`resources`, `taken`). A holder has at most one seat of a
resource; a program that wants two joins twice. Steps need no verb: a claim takes the seats of its lane's resources and
the end of the lease gives them back, in the same transactions.

Authoritative: the rows, by the database's clock. A seat is lost when its holder is reaped or somebody breaks it; the
holder learns it from its next heartbeat, and until then `confirm` refuses its writes. What can fail: a reply can be
lost, so every verb may be sent again.

Not here: who keeps the heartbeat (`holding`, the worker), what a key means (`keys`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.errors import SeatLost
from leasehold.kernel import pauses
from leasehold.kernel.keys import canonical

PACKAGE = "leasehold.kernel"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat that a holder took without a step. A value: it may be stale; every write is checked by its token.

    `token` rises with every taking of a resource's seats, so it can fence writes to a system outside the database.
    """

    key: str
    holder_id: int
    token: int


@dataclass(frozen=True, slots=True)
class Turned:
    """No seat now: `why` is held or paused; `place` is the place in line, from 1, if the holder waits."""

    why: str
    place: int | None


@dataclass(frozen=True, slots=True)
class Resource:
    """`taken` may exceed `seats` for a time, when the limit was lowered."""

    key: str
    seats: int
    per: str
    paused: bool
    taken: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Taken:
    """One taken seat and who has it; `kind` and `steps` say what its lease covers, if it serves one."""

    key: str
    ix: int
    token: int
    leased: bool
    taken_s: float
    holder_id: int
    holder_kind: str
    name: str
    host: str
    pid: int
    heard_s: float
    expired: bool
    kind: str | None
    group_id: int | None
    steps: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """One place in line. `asking`: it lives and asked within the last seconds; others are passed over."""

    holder_kind: str
    name: str
    host: str
    pid: int
    waiting_s: float
    asking: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """What became of one taken seat: broken, living, heard too lately, or given back meanwhile."""

    token: int
    holder_id: int
    heard_s: float
    steps: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Break:
    """A seat that somebody took away: whose it was (unnamed: that holder has been forgotten), when it had been heard,
    and by whom: `role` is the database's word, `by` the one who asked."""

    at: datetime
    ago_s: float
    token: int
    holder_id: int
    holder_kind: str | None
    name: str | None
    host: str | None
    pid: int | None
    heard_s: float
    steps: int
    forced: bool
    role: str
    by: str
    reason: str


# -- for a holder without a step --------------------------------------------------------------------------------------


def take(session: Session, holder_id: int, key: str, *, wait: bool = False) -> Seat | Turned:
    """Take a seat at *key*; asked again, the same one. With *wait* the holder stands in line until it is served.

    Who waits keeps its place while it lives and asks at least every 5 seconds. The line and the steps behind the same
    key take turns.

    Raises:
        HolderGone: the holder has ended.
        NotFound: *key* is a kind's share and no limit is set.
    """
    key = canonical(key)
    verdict, token, place = session.fetch(load(PACKAGE, "call_seat_take"), (holder_id, key, wait))[0]
    return Turned(verdict, place) if token is None else Seat(key, holder_id, token)


def give_back(session: Session, seat: Seat) -> bool:
    """Give a seat back; False if it had been taken away before (which is counted). May be sent again."""
    params = (seat.holder_id, seat.key, seat.token)
    return str(session.fetch(load(PACKAGE, "call_seat_give_back"), params)[0][0]) != "lost"


def leave_line(session: Session, holder_id: int, key: str) -> None:
    """Stop waiting for a seat at *key*."""
    session.fetch(load(PACKAGE, "call_seat_give_back"), (holder_id, canonical(key), None))


def confirm(connection: Connection, seat: Seat) -> bool:
    """Within a transaction: whether the seat is still held; if so, it stays so until the transaction ends.

    A False is counted as a refused late write when the transaction commits; `guarded` does both rightly.
    """
    params = (seat.holder_id, seat.key, seat.token)
    return bool(execute(connection, load(PACKAGE, "call_seat_confirm"), params)[0][0])


def guarded(session: Session, seat: Seat, work: Callable[[Connection], T]) -> T:
    """Run *work* in one transaction that commits only while the seat is held.

    Raises:
        SeatLost: it is not; nothing was written, and the refusal is counted.
    """
    answer = session.run(lambda connection: (work(connection),) if confirm(connection, seat) else None)
    if answer is None:
        raise SeatLost(key=seat.key, token=seat.token)
    return answer[0]


# -- for operators ----------------------------------------------------------------------------------------------------


def break_(
    session: Session, key: str, *, by: str, reason: str = "", max_age_s: float | None = None, force: bool = False
) -> list[Broken]:
    """Take the seats at *key* away from holders whose heartbeat has stopped; with *force* from living ones too.

    `max_age_s` spares holders that were heard within it. A seat that serves a lease takes the lease with it; its steps
    go back uncharged. Each broken seat is written down: whose it was, *by* whom it was broken, and the *reason*.
    """
    params = (canonical(key), max_age_s, force, by, reason)
    return [Broken(*row) for row in session.fetch(load(PACKAGE, "call_seat_break"), params)]


def set_limit(session: Session, key: str, n: int, *, per: str | None = None) -> tuple[int | None, int]:
    """Give *key* *n* seats; how many it had (None: it is new), and how many are taken now.

    Args:
        per: what one seat covers, a page or a step; None: as it is, or step for `kind:` and page for others.
    """
    before, taken = session.fetch(load(PACKAGE, "call_limit_set"), (canonical(key), n, per))[0]
    return before, int(taken)


def pause(session: Session, key: str, *, for_s: float | None = None, why: str = "") -> None:
    """Let nobody take a seat at *key* for a time, or until it is resumed. Who has one keeps it."""
    pauses.pause(session, pauses.LIMIT, canonical(key), for_s=for_s, why=why)


def resume(session: Session, key: str) -> bool:
    """End the pause of *key*; whether there was one."""
    return pauses.resume(session, pauses.LIMIT, canonical(key))


def remove_limit(session: Session, key: str) -> bool:
    """Forget *key*; False if it was not there. Leases that have a seat there go on without one.

    Raises:
        Refused: a holder without a step has a seat, or steps of an open group stand behind it.
    """
    return bool(session.fetch(load(PACKAGE, "call_limit_remove"), (canonical(key),))[0][0])


# -- looking ----------------------------------------------------------------------------------------------------------


def resources(session: Session, key: str | None = None) -> list[Resource]:
    """Every resource, or the one of this key, in key order."""
    params = {"key": None if key is None else canonical(key)}
    return [Resource(*row) for row in session.fetch(load(PACKAGE, "resources_now"), params)]


def taken(session: Session, key: str | None = None) -> list[Taken]:
    """The taken seats of every resource, or of one, in key order."""
    params = {"key": None if key is None else canonical(key)}
    return [Taken(*row) for row in session.fetch(load(PACKAGE, "seats_taken"), params)]


def line(session: Session, key: str) -> list[Waiting]:
    """Who waits at *key*, first come first."""
    return [Waiting(*row) for row in session.fetch(load(PACKAGE, "seat_line_now"), (canonical(key),))]


def breaks(session: Session, key: str, limit: int = 5) -> list[Break]:
    """The last times that seats at *key* were broken, newest first. All of it is kept in `leasehold.seat_break`."""
    return [Break(*row) for row in session.fetch(load(PACKAGE, "seat_breaks"), (canonical(key), limit))]


def steps_behind(session: Session, key: str) -> int:
    """How many ready steps need a seat at *key*."""
    return int(session.fetch(load(PACKAGE, "steps_behind"), {"key": canonical(key)})[0][0])
