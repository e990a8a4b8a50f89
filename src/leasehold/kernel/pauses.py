"""Pauses: of a kind of step, a source or a group nothing is claimed until a time, or until it is resumed.

A pause holds back what waits; what is leased goes on to its end. It moves nothing: the lanes concerned are not named to
workers while it lasts, so however much waits there costs the other lanes nothing. A pause ends by itself at its time.

Authoritative: the rows of `leasehold.pause`, by the database's clock. A claim that is on its way to a lane while that
is being paused may still take from it: a pause is a wish of an operator, not a lock.

A limit is paused too: nobody gets a seat of it, a step or not (`seats`).

Not here: a kind that fails all the time (the breaker).
"""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from datetime import datetime

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.kernel import groups

PACKAGE = "leasehold.kernel"
KIND, SOURCE, GROUP, LIMIT = "kind", "source", "group", "limit"
PAUSABLE = (KIND, SOURCE, GROUP, LIMIT)
PAUSE_MAX_S = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Pause:
    """What is paused by whom and why; `until` and `left_s` are None while it has no end."""

    what: str
    name: str
    until: datetime | None
    left_s: float | None
    since: datetime
    by: str
    why: str


def pause(
    session: Session,
    what: str,
    name: str,
    *,
    for_s: float | None = None,
    until: datetime | None = None,
    by: str = "",
    why: str = "",
) -> datetime | None:
    """Pause a kind, source or group; until when (None: until it is resumed). Again: the new end counts.

    Raises:
        UsageError: it is nothing that can be paused, both ends are given, or the time is none.
        NotFound: there is no such group.
    """
    if what not in PAUSABLE or not name:
        raise UsageError(
            f"'{what} {name}' cannot be paused; expected a kind, a source, a group or a limit, and its name."
        )
    if for_s is not None and until is not None:
        raise UsageError("A pause has one end: give `for_s` or `until`, not both.")
    if for_s is not None and not 0 < for_s <= PAUSE_MAX_S:
        raise UsageError(f"A pause of {for_s} s is none; expected more than 0 and at most {PAUSE_MAX_S:.0f} seconds.")
    if until is not None and until.tzinfo is None:
        raise UsageError("The end of a pause needs a time zone.", remedy="Write it as 2030-01-31T18:00:00+01:00.")
    params = (what, name, for_s, until, by or whoami(), why)
    ends, at = session.fetch(load(PACKAGE, "call_pause"), params)[0]
    return at if ends else None


def resume(session: Session, what: str, name: str, *, by: str = "") -> bool:
    """End a pause; whether there was one. Workers are woken."""
    was_paused = bool(session.fetch(load(PACKAGE, "call_resume"), (what, name, by or whoami()))[0][0])
    groups.wake(session)
    return was_paused


def current(session: Session) -> list[Pause]:
    """Everything that is paused now."""
    return [Pause(*row) for row in session.fetch(load(PACKAGE, "pauses_now"))]


@dataclass(frozen=True, slots=True)
class KindNow:
    """How many steps of one kind stand where."""

    kind: str
    ready: int
    delayed: int
    leased: int


def kinds(session: Session) -> list[KindNow]:
    """Every kind that a workflow names."""
    return [KindNow(*row) for row in session.fetch(load(PACKAGE, "kinds_now"))]


def whoami() -> str:
    """Who asks, for the audit: the account and the host."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        account = f"uid {os.getuid()}"
    return f"{account}@{socket.gethostname()}"
