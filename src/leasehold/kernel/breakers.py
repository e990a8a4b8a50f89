"""Breakers: a kind whose steps all fail in the same way is held back, and tried again with one step at a time.

The same fingerprint `breaker_after` times in a row (a workflow's step says how often) opens the breaker of that kind
and resource key: its lanes are not offered any more. After a pause one step is let through, the *probe*. It succeeds:
the kind goes on. It errs: one more strike, and twice the pause. It never reports: its lease ends as every lease does,
and another one may be probed. `leasehold kind resume` closes it by hand.

Only errors that would be tried again count, so what a provider does to every step should be raised as transient (also a
refused key), and what is wrong with one item as permanent. Steps that were leased before it opened may err as they
like: no strikes.

Authoritative: the rows of `leasehold.breaker`, counted where steps end. If they cannot be written the steps end all the
same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leasehold.db.session import Session
from leasehold.db.statements import load

PACKAGE = "leasehold.kernel"


@dataclass(frozen=True, slots=True)
class Breaker:
    """One that is open. `probe_s`: seconds until a probe may be taken; `probe_step`: the one that is out."""

    kind: str
    key: str
    opened_at: datetime
    probe_s: float
    streak: int
    strikes: int
    reason: str
    detail: str
    fingerprint: str
    probe_step: int | None


def current(session: Session) -> list[Breaker]:
    """All breakers that are open."""
    return [Breaker(*row) for row in session.fetch(load(PACKAGE, "breakers_now"))]
