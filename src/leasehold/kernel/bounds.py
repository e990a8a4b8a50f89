"""Bounds: how many runs of a kind, a source or a group may be open at once, so that a queue never grows without end.

Who adds more than fits is refused with `QueueFull`, nothing of the page is added, and the same page may be added again
when some runs have ended. Open is what was added and has not ended, running or waiting; it is counted from the groups'
own counts each time, so it cannot leak. A retry opens runs that were let in before, and is not refused.

Authoritative: the rows of `leasehold.bound`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.kernel.pauses import GROUP, KIND, SOURCE, whoami

PACKAGE = "leasehold.kernel"
BOUNDED = (KIND, SOURCE, GROUP)


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `runs_max` runs of it may be open; `runs_open` are."""

    what: str
    name: str
    runs_max: int
    runs_open: int
    since: datetime
    by: str


def bound(session: Session, what: str, name: str, runs_max: int | None, *, by: str = "") -> None:
    """Let at most *runs_max* runs of a kind, source or group be open at once; None: as many as come.

    Raises:
        UsageError: it is nothing that can be bounded, or the number is none.
        NotFound: there is no such group.
    """
    if what not in BOUNDED or not name:
        raise UsageError(f"'{what} {name}' has no queue; expected a kind, a source or a group, and its name.")
    if runs_max is not None and not 1 <= runs_max <= 2**53:
        raise UsageError(f"runs_max={runs_max} must be at least 1.", remedy="To hold everything back, pause it.")
    session.fetch(load(PACKAGE, "call_bound_set"), (what, name, runs_max, by or whoami()))


def current(session: Session) -> list[Bound]:
    """Every bound, with how much of it is used."""
    return [Bound(*row) for row in session.fetch(load(PACKAGE, "bounds_now"))]
