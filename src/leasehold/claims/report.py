"""What operators do with a claim table: make and remove it, see who holds what, take claims away, free what failed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from leasehold.claims.script import Claims, install, render, rollback
from leasehold.db.session import Session, execute

STATES = ("held", "waiting", "succeeded", "failed")
"""Of a claim, for people: held, free again from a time on, or a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which claims are meant; None is any."""

    work_type: str | None = None
    worker: str | None = None
    id: str | None = None
    expired: bool = False

    @property
    def narrows(self) -> bool:
        return self != Filter()


@dataclass(frozen=True, slots=True)
class Progress:
    work_type: str
    done: int
    failed: int
    held: int
    waiting: int
    per_minute: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Held:
    """What one worker holds; negative `expires_in_s`: over, and about to be reaped."""

    work_type: str
    worker: str
    claims: int
    held_s: float
    first_expires_in_s: float
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Claim:
    id: str
    work_type: str
    status: str
    worker: str
    attempt: int
    token: int
    claimed_at: datetime
    expires_at: datetime
    retry_at: datetime | None
    finished_at: datetime | None
    last_error: str | None


def apply(session: Session, claims: Claims) -> None:
    """Make or converge the claim table and its functions, in one transaction."""
    session.run(lambda connection: execute(connection, install(claims)))


def remove(session: Session, claims: Claims) -> None:
    """Remove the claim table with all claims, and its functions; the user's table is not touched."""
    session.run(lambda connection: execute(connection, rollback(claims)))


def progress(session: Session, claims: Claims) -> list[Progress]:
    return [Progress(*row) for row in session.fetch(render("progress", claims))]


def holders(session: Session, claims: Claims) -> list[Held]:
    return [Held(*row) for row in session.fetch(render("holders", claims))]


def listed(
    session: Session, claims: Claims, which: Filter, state: str | None = None, *, limit: int = 50
) -> list[Claim]:
    """Claims that match, by work type and id. State: one of STATES, or None for all."""
    values = asdict(which) | {"state": state, "limit": limit}
    return [Claim(*row) for row in session.fetch(render("list", claims, parameters=True), values)]


def count(session: Session, claims: Claims, which: Filter, state: str | None = None) -> int:
    values = asdict(which) | {"state": state}
    return int(session.fetch(render("count", claims, parameters=True), values)[0][0])


def release(session: Session, claims: Claims, which: Filter) -> int:
    """Take open claims away from their holders; how many."""
    return len(session.fetch(render("release", claims, parameters=True), asdict(which)))


def retry(session: Session, claims: Claims, which: Filter) -> int:
    """Free what has failed for good; how many."""
    return len(session.fetch(render("retry", claims, parameters=True), asdict(which)))
