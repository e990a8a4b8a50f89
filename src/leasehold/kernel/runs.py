"""Runs: one item's way through a workflow, and what an operator does to a single one: cancel, retry, put off, look.

A cancelled run ends at once: what waits in it, and what is leased, whose holder learns of it with its next heartbeat
and whose late word is refused. A run that is put off waits until then, wherever it stands; what runs already is not
touched. To both a run that has ended is no mistake; the answer says how many there were to end, or to put off.

Authoritative: the rows. Not here: cancelling and retrying whole groups (groups), what a step's outcome means (steps).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import LeaseholdError, NotFound, UsageError
from leasehold.kernel import groups, history
from leasehold.kernel.pauses import whoami

PACKAGE = "leasehold.kernel"
PUT_OFF_MAX_S = 10 * 365 * 86_400.0
LOOKS_MAX = 100
"""Of a cancel: the first ends the runs, the second finds what was claimed meanwhile, one more finds nothing."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run: `ended` is None while it is open; `retries`: how often it was opened again."""

    run_id: int
    group_id: int
    label: str
    ended: str | None
    retries: int
    item: Any


@dataclass(frozen=True, slots=True)
class StepEnd:
    """One end of one step of a run."""

    step_id: int
    kind: str
    attempt: int
    ended: str
    at: datetime
    reason: str | None
    detail: str | None


def facts(session: Session, run_ids: Sequence[int]) -> list[RunFacts]:
    """What is known of these runs, in the order of their ids.

    Raises:
        NotFound: there is no such run.
    """
    found = [RunFacts(*row) for row in session.fetch(load(PACKAGE, "run_facts"), (list(run_ids),))]
    if missing := sorted(set(run_ids) - {one.run_id for one in found}):
        raise NotFound(
            f"There is no run {missing[0]}.{history.farewell(session, missing[0])}",
            remedy="Run `leasehold group show GROUP` for what failed in it.",
        )
    return found


def newest(
    session: Session, *, group_id: int | None = None, state: str | None = None, limit: int = 100
) -> list[RunFacts]:
    """The newest runs, newest first: of one group or of all, in any *state* (open, succeeded, failed, cancelled)."""
    params = {"group": group_id, "state": state, "limit": limit}
    return [RunFacts(*row) for row in session.fetch(load(PACKAGE, "runs_newest"), params)]


def outcomes(session: Session, run_id: int) -> list[StepEnd]:
    """Every end of every step of the run, oldest first."""
    return [StepEnd(*row) for row in session.fetch(load(PACKAGE, "run_outcomes"), {"run": run_id})]


def cancel(session: Session, run_ids: Sequence[int], *, by: str = "") -> int:
    """End runs, whatever stands in them; how many had not ended. May be sent again.

    Raises:
        NotFound: there is no such run; nothing was done.
        LeaseholdError: look after look there is something left to end, which is a defect.
    """
    groups_of = {one.group_id for one in facts(session, run_ids)}
    params = (sorted(set(run_ids)), by or whoami())
    total = 0
    for _ in range(LOOKS_MAX):
        ended, taken = session.fetch(load(PACKAGE, "call_run_cancel"), params)[0]
        total += int(ended)
        if not ended + taken:
            break
    else:
        raise LeaseholdError(
            "What was to be cancelled does not end.", remedy="Report it; it is a defect.", runs=run_ids
        )
    for group_id in groups_of:
        groups.fold(session, group_id)
    return total


def put_off(session: Session, run_ids: Sequence[int], delay_s: float, *, why: str = "", by: str = "") -> int:
    """Let what waits in these runs wait for *delay_s*; how many steps. What is leased goes on.

    Raises:
        NotFound: there is no such run; nothing was done.
    """
    if not 0 <= delay_s <= PUT_OFF_MAX_S:
        raise UsageError(f"delay_s={delay_s} must be between 0 and {PUT_OFF_MAX_S:.0f} seconds.")
    facts(session, run_ids)
    said = f"put off by {by or whoami()}{f' ({why})' if why else ''}"
    return int(session.fetch(load(PACKAGE, "call_run_put_off"), (sorted(set(run_ids)), delay_s, said))[0][0])


def retry(session: Session, run_ids: Sequence[int]) -> int:
    """Open these failed runs again, in a new round of their groups; how many.

    Raises:
        NotFound: there is no such run.
        UsageError: one of them has not failed; nothing was done.
    """
    found = facts(session, run_ids)
    for one in found:
        if one.ended != "failed":
            stands = {None: "is under way", "succeeded": "has succeeded"}.get(one.ended, f"was {one.ended}")
            raise UsageError(
                f"Run {one.run_id} {stands}; only a failed run can be retried.",
                remedy=f"Run `leasehold run show {one.run_id}`.",
            )
    of_group: dict[int, list[int]] = {}
    for one in found:
        of_group.setdefault(one.group_id, []).append(one.run_id)
    return sum(groups.retry(session, group_id, runs=runs) for group_id, runs in sorted(of_group.items()))
