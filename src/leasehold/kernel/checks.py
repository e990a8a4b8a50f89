"""Checks: the invariants as SQL, and counts that only reading gives."""

from __future__ import annotations

from leasehold.db.session import Session
from leasehold.db.statements import load

PACKAGE = "leasehold.kernel"


def violations(session: Session) -> list[tuple[str, str]]:
    """(rule, what was found) for every broken invariant; [] when all hold."""
    return [(rule, found) for rule, found in session.fetch(load(PACKAGE, "invariants"))]


def refusals(session: Session) -> dict[str, int]:
    """Late writes that were refused so far, by verb, in steps."""
    return {verb: int(n) for verb, n in session.fetch(load(PACKAGE, "refusals"))}


def queue_totals(session: Session) -> dict[tuple[str, str], int]:
    """Totals of the whole queue: {("runs", "failed"): 3, ("holders", "reaped"): 1, ("seats", "taken"): 2}."""
    return {(what, which): int(n) for what, which, n in session.fetch(load(PACKAGE, "queue_totals"))}


def step_counts(session: Session, group_ids: list[int]) -> dict[str, dict[str, int]]:
    """For each kind of step in these groups how many stand where: {"parse": {"ready": 10, "succeeded": 90}}."""
    counts: dict[str, dict[str, int]] = {}
    for kind, state, n in session.fetch(load(PACKAGE, "step_counts"), (group_ids,)):
        counts.setdefault(kind, {})[state] = int(n)
    return counts
