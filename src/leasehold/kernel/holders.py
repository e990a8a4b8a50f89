"""Holders: the processes that hold leases, their heartbeat, and what happens when it stops.

Invariant: a holder that has ended never holds anything again. One heartbeat request keeps all holders of a process.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.kernel.pauses import whoami

PACKAGE = "leasehold.kernel"
END, IDLE = "end", "idle"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a reaped holder gave back: step ids, and the one that was charged an attempt for the death."""

    holder_id: int
    name: str
    returned: tuple[int, ...]
    charged: int | None


def join(session: Session, *, kind: str, name: str, ttl_s: float, pid: int | None = None) -> int:
    """Register a holder of *kind* (worker, cli, web, hook, sql); its id.

    `pid` defaults to this process; a keeper that joins on behalf of a child passes the child's.
    """
    rows = session.fetch(
        load(PACKAGE, "call_holder_join"), (kind, name, socket.gethostname(), pid or os.getpid(), ttl_s)
    )
    return int(rows[0][0])


@dataclass(frozen=True, slots=True)
class Kept:
    """What a holder still holds: its leases, and what was taken out of them because its run was cancelled."""

    tokens: frozenset[int]
    cancelled: frozenset[int] = frozenset()
    drain: str | None = None
    """It is to claim no more, and then to `end`, or to stay `idle`."""


def heartbeat(session: Session, holder_ids: Sequence[int]) -> dict[int, Kept]:
    """Keep *holder_ids* alive; for each that still lives what it holds. A missing holder has lost everything."""
    rows = session.fetch(load(PACKAGE, "call_holder_heartbeat"), (list(holder_ids),))
    return {holder: Kept(frozenset(tokens), frozenset(cancelled), drain) for holder, tokens, cancelled, drain in rows}


def serve(session: Session, holder_id: int, kinds: Sequence[str]) -> None:
    """Say which kinds a worker serves, for whoever asks why one is not claimed."""
    session.fetch(load(PACKAGE, "call_holder_serve"), (holder_id, sorted(kinds)))


def drain(session: Session, holder_ids: Sequence[int], how: str | None, *, by: str = "") -> list[int]:
    """Tell workers to claim no more, to finish what they hold, and then to `end` or to stay `idle`; None: to go on.

    Returns:
        Those that were told something new. They learn it with their next heartbeat, on any host.

    Raises:
        UsageError: *how* is none of these.
    """
    if how not in (END, IDLE, None):
        raise UsageError(f"drain={how!r} must be '{END}' or '{IDLE}'.")
    return list(session.fetch(load(PACKAGE, "call_holder_drain"), (list(holder_ids), how, by or whoami()))[0][0])


def leave(session: Session, holder_id: int) -> int:
    """End a holder of its own will; how many steps went back unworked, uncharged."""
    return int(session.fetch(load(PACKAGE, "call_holder_leave"), (holder_id,))[0][0])


def end_dead(
    session: Session,
    holder_id: int,
    *,
    reason: str,
    blamed_step: int | None = None,
    suspects: Sequence[int] | None = None,
) -> Ended | None:
    """End a holder that is known to be dead (its keeper saw it go); None if somebody else has ended it already.

    `blamed_step` is the step proven to have caused the death because its time ran out: it alone is charged.
    `suspects` are the steps it was working on when it died: they are leased alone next time, the others as before.
    None: nobody knows, so all it held are under suspicion.
    """
    params = (holder_id, blamed_step, None if suspects is None else list(suspects), reason)
    returned, charged = session.fetch(load(PACKAGE, "call_end_holder"), params)[0]
    return None if returned is None else Ended(holder_id, "", tuple(returned), charged)


def reap(session: Session, *, callers: Sequence[int] = (), limit: int = 100) -> list[Ended]:
    """End holders whose expiry has passed; never one of *callers*."""
    rows = session.fetch(load(PACKAGE, "call_reap"), (list(callers), limit))
    return [Ended(holder_id, name, tuple(returned), charged) for holder_id, name, returned, charged in rows]


def reap_these(session: Session, holder_ids: Sequence[int]) -> int:
    """End those of *holder_ids* whose expiry has passed, and nobody else; how many."""
    return int(session.fetch(load(PACKAGE, "call_reap_holders"), (list(holder_ids),))[0][0])


def expire_leases(session: Session, *, limit: int = 100) -> list[int]:
    """Take back leases past their deadline from living holders; the steps they covered."""
    return list(session.fetch(load(PACKAGE, "call_expire_leases"), (limit,))[0][0])


@dataclass(frozen=True, slots=True)
class Living:
    """A holder that has not ended; `expired`: its heartbeat is late, and whoever looks next will reap it."""

    holder_id: int
    kind: str
    name: str
    host: str
    pid: int
    alive_s: float
    heard_s: float
    expired: bool
    steps: int
    silent: str | None = None
    """Why it claims nothing while work waits, in its own words; None: it does its work, or nothing waits."""
    silent_s: float | None = None
    seats: Sequence[str] = ()
    """The keys of the resources at which it has a seat without a step."""
    kinds: Sequence[str] | None = None
    """What it serves; None: it has not said."""
    drain: str | None = None
    """It claims no more, and then it will `end`, or stays `idle`."""
    drained_by: str | None = None
    drained_s: float | None = None


def living(session: Session) -> list[Living]:
    """All holders that have not ended, with how many steps each holds, what it serves, and whether it is drained."""
    return [Living(*row) for row in session.fetch(load(PACKAGE, "holders_now"))]


def busiest(session: Session) -> tuple[int, int] | None:
    """(pid, steps held) of the worker on this host that is furthest in its workflow; None when none holds anything."""
    rows = session.fetch(load(PACKAGE, "busiest_holder"), (socket.gethostname(),))
    return (int(rows[0][0]), int(rows[0][1])) if rows else None


def not_taken_over(session: Session, step_ids: Sequence[int]) -> int:
    """How many of *step_ids* nobody has leased again yet."""
    return int(session.fetch(load(PACKAGE, "not_taken_over"), (list(step_ids),))[0][0])
