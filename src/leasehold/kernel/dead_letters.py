"""Dead letters: steps that failed for good. They stand where they ended until somebody tries them again.

A step is requeued with its run: a retry opens a new round of the group, resets the step's clocks, and does again what
in that run had not succeeded. Of a run in which two steps failed side by side, requeuing one of them requeues both.

Authoritative: outcomes and run outcomes. Not here: runs that were cancelled, which nobody failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import NotFound, UsageError
from leasehold.kernel import groups, why
from leasehold.kernel.steps import step_name

PACKAGE = "leasehold.kernel"


@dataclass(frozen=True, slots=True)
class Alike:
    """Steps of one group and kind that failed alike: how many, and their runs."""

    group_id: int
    kind: str
    reason: str
    fingerprint: str
    steps: int
    runs: Sequence[int]


def find(
    session: Session,
    *,
    reasons: Sequence[str] | None = None,
    fingerprints: Sequence[str] | None = None,
    kind: str | None = None,
    group_id: int | None = None,
    steps: Sequence[int] | None = None,
) -> list[Alike]:
    """Steps that failed and can be tried again: all, or those that meet every filter."""
    params = {
        "reasons": reasons and list(reasons),
        "fingerprints": fingerprints and list(fingerprints),
        "kind": kind,
        "group": group_id,
        "steps": None if steps is None else list(steps),
    }
    return [Alike(*row) for row in session.fetch(load(PACKAGE, "dead_letters"), params)]


def these(session: Session, step_ids: Sequence[int]) -> list[Alike]:
    """The named steps.

    Raises:
        NotFound: there is no such step.
        UsageError: one of them has not failed; nothing was done.
    """
    found = find(session, steps=step_ids)
    failed = {run for one in found for run in one.runs}
    for step_id in step_ids:
        facts = why.step_facts(session, step_id)
        if facts is None:
            raise NotFound(f"There is no step {step_name(step_id)}.", remedy="Run `leasehold group show GROUP`.")
        if step_id >> 10 not in failed:
            raise UsageError(f"Only a step that failed can be requeued: {why.sentence(facts)}",
                             remedy="Look at it with `leasehold step show STEP`.")  # fmt: skip
    return found


def check_known(session: Session, reasons: Sequence[str], fingerprints: Sequence[str]) -> None:
    """Raise UsageError, naming those there are, if nothing failed for one of *reasons* or *fingerprints*."""
    failed = [groups.Failure(one.kind, one.reason, one.fingerprint, one.steps, 0, "") for one in find(session)]
    groups.check_known(failed, reasons, fingerprints)


def requeue(session: Session, found: Sequence[Alike]) -> int:
    """Try these steps again; how many runs that opened. What somebody else retries meanwhile is not among them."""
    return sum(groups.retry(session, group_id, runs=sorted(runs)) for group_id, runs in sorted(_runs(found).items()))


def runs_of(found: Sequence[Alike]) -> int:
    """In how many runs these steps are."""
    return sum(len(runs) for runs in _runs(found).values())


def _runs(found: Sequence[Alike]) -> dict[int, set[int]]:
    runs: dict[int, set[int]] = {}
    for one in found:
        runs.setdefault(one.group_id, set()).update(one.runs)
    return runs
