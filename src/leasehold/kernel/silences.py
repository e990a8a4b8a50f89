"""Silences: what waits to be claimed and what holds it back, and which living holders claim nothing meanwhile.

Whoever keeps a holder judges it and writes the sentence down; this only stores it. A holder that has ended has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leasehold.db.session import Session
from leasehold.db.statements import load

PACKAGE = "leasehold.kernel"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Ready steps of one kind; `held_back`: by which pause or breaker, "" when a look would offer them; `oldest`: the
    lowest position among them, which changes as soon as that step is claimed."""

    kind: str
    held_back: str
    oldest: int


def waiting(session: Session) -> list[Waiting]:
    """What is ready in open groups, by kind and obstacle, oldest first."""
    return [Waiting(*row) for row in session.fetch(load(PACKAGE, "waiting_work"))]


def note(session: Session, reasons: Mapping[int, str | None]) -> None:
    """Write down why each of these holders is silent; None: it is not any more."""
    session.fetch(load(PACKAGE, "call_holders_silent"), (list(reasons), list(reasons.values())))
