"""Workflows, runs and groups: what a user submits together, and the moment when all of it has ended.

A run takes one item through a workflow; a group is all runs of one submission. A group completes once a round, when it
is sealed and as many runs have ended as were added; failures do not hold that up, they are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.kernel.hooks import STEP_EVENTS, Hook
from leasehold.kernel.keys import canonical
from leasehold.options import TURNS_MAX

PACKAGE = "leasehold.kernel"
TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One step of a workflow: its kind, the indexes of the steps that wait for it, and how it is tried again.

    `breaker_after`: errors with one fingerprint in a row after which the kind is held back (None: never).
    """

    kind: str
    children: tuple[int, ...] = ()
    attempts_max: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    breaker_after: int | None = None


@dataclass(frozen=True, slots=True)
class GroupState:
    group_id: int
    label: str
    round: int
    added: int
    succeeded: int
    failed: int
    cancelled: int
    sealed: bool
    completed: bool
    cancelling: bool = False
    source: str = ""
    outcome: str | None = None
    """How its newest completed round ended: succeeded, failed (more failures than it bears), cancelled."""

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled


def chain(*kinds: str, attempts_max: int = 3) -> list[WorkflowStep]:
    """A linear workflow: each kind follows the one before."""
    last = len(kinds) - 1
    return [
        WorkflowStep(kind, (ix + 1,) if ix < last else (), attempts_max=attempts_max) for ix, kind in enumerate(kinds)
    ]


def register(
    session: Session,
    name: str,
    steps: Sequence[WorkflowStep],
    *,
    hooks: Sequence[Hook] = (),
    events: Sequence[str] = (),
) -> int:
    """Store a workflow's definition; its id. The same content has the same id; a change gets a new one.

    Args:
        hooks: what is called when something happens; in any order.
        events: which events of steps are written, besides those that its hooks name: step_start, step_end, step_failed.

    Raises:
        UsageError: two hooks of one name, or an event that is none of a step.
    """
    if twice := [one for one, n in Counter(hook.name for hook in hooks).items() if n > 1]:
        raise UsageError(f"Workflow '{name}' has two hooks named '{twice[0]}'.", remedy="Give each a name of its own.")
    if unknown := [one for one in events if one not in STEP_EVENTS]:
        raise UsageError(f"Workflow '{name}': '{unknown[0]}' is no event of a step.",
                         remedy=f"Name some of {', '.join(STEP_EVENTS)}; the others are always written.")  # fmt: skip
    body = [
        {
            "kind": step.kind,
            "children": list(step.children),
            "attempts_max": step.attempts_max,
            "backoff_s": step.backoff_s,
            "backoff_max_s": step.backoff_max_s,
        }
        | ({"breaker_after": step.breaker_after} if step.breaker_after is not None else {})
        for step in steps
    ]
    called = [hook.as_dict() for hook in sorted(hooks, key=lambda hook: hook.name)]
    params = (name, orjson.dumps(body).decode(), orjson.dumps(called).decode(), sorted(set(events)))
    return int(session.fetch(load(PACKAGE, "call_workflow_register"), params)[0][0])


def open_group(
    session: Session,
    workflow_id: int,
    *,
    label: str = "",
    idempotency_key: str | None = None,
    weight: int = 1,
    priority: int = 0,
    source: str = "",
    failures_max: int | None = None,
    failures_max_percent: float | None = None,
    seats: Mapping[str, str] | None = None,
    trace: str | None = None,
) -> tuple[int, bool]:
    """Open a group; its id, and whether it was created now (a known idempotency key answers with its first group).

    Args:
        weight: its part of the workers among groups of one priority; a source's groups share one part.
        priority: higher first. Lower ones are not starved: every eighth turn of a worker is for who waits longest.
        source: whose work it is; '' is nobody else's.
        failures_max: failed runs that a round bears and still counts as succeeded; or `failures_max_percent` of its
            runs. Without either a single failure makes it failed.
        seats: the resource whose seat a kind's pages need, by kind: {"store": "rag:/data/knowledge"}.
        trace: the W3C trace context (`traceparent`) of whoever submits it; spans of its steps are linked to that.

    Raises:
        GroupEnded: the key's group is complete or cancelled, so this request would be swallowed.
        Refused: the key's group has another workflow.
    """
    _check_turns(weight, priority)
    if failures_max is not None and failures_max_percent is not None:
        raise UsageError("Failures are tolerated by number or by percentage; give one of the two.")
    if failures_max is not None and failures_max < 0:
        raise UsageError(f"failures_max={failures_max} must be 0 or more.")
    if failures_max_percent is not None and not 0 <= failures_max_percent <= 100:
        raise UsageError(f"failures_max_percent={failures_max_percent} must be between 0 and 100.")
    if trace is not None and not TRACE.fullmatch(trace):
        raise UsageError(f"trace={trace!r} is no trace context.", remedy="Give a W3C traceparent: 00-…-…-01.")
    key = idempotency_key or f"once {uuid4().hex}"  # this call may be sent again
    behind = {kind: canonical(resource) for kind, resource in (seats or {}).items()}

    def open_it(connection: Connection) -> tuple[int, bool]:
        params = (workflow_id, label, key, weight, priority, source, failures_max, failures_max_percent)
        group_id, created = execute(connection, load(PACKAGE, "call_group_open"), params)[0]
        if created:
            for kind, resource in sorted(behind.items()):
                execute(connection, load(PACKAGE, "call_lane_key"), (group_id, kind, resource))
            if trace is not None:
                execute(connection, load(PACKAGE, "call_group_trace"), (group_id, trace))
        return int(group_id), bool(created)

    group_id, created = session.run(open_it)
    return group_id, created or idempotency_key is None


def traces(session: Session, group_ids: Sequence[int]) -> dict[int, str]:
    """Those of these groups that belong to a trace, and to which."""
    return {int(row[0]): str(row[1]) for row in session.fetch(load(PACKAGE, "traces_of"), (list(group_ids),))}


def weigh(session: Session, group_id: int, *, weight: int | None = None, priority: int | None = None) -> None:
    """Give a group another weight or priority. Raises NotFound."""
    _check_turns(weight or 1, priority or 0)
    if weight == 0:
        raise UsageError("weight=0 would starve the group.", remedy="Pause it instead: leasehold group pause.")
    session.fetch(load(PACKAGE, "call_group_weigh"), (group_id, weight, priority))


def _check_turns(weight: int, priority: int) -> None:
    if not 1 <= weight <= TURNS_MAX:
        raise UsageError(f"weight={weight} must be between 1 and {TURNS_MAX}.")
    if not -TURNS_MAX <= priority <= TURNS_MAX:
        raise UsageError(f"priority={priority} must be between -{TURNS_MAX} and {TURNS_MAX}.")


def add(connection: Connection, group_id: int, items: Sequence[Any], *, page: str | None = None) -> int | None:
    """Within a transaction: add one run per item (any JSON value); the first run id, the others follow in order.

    None when *items* is empty. The caller commits; then `wake` tells waiting workers. If the commit's reply is lost,
    the transaction is run again: name the *page*, unless something else in it shows that it was done. A page whose
    name the group knows is not added again.
    """
    if not items:
        return None
    bodies = [orjson.dumps(item).decode() for item in items]
    return int(execute(connection, load(PACKAGE, "call_group_add"), (group_id, bodies, page))[0][0])


def add_all(session: Session, group_id: int, items: Sequence[Any]) -> int | None:
    """`add` in a transaction of its own, then `wake`. May be sent again: the page gets a name of its own."""
    page = uuid4().hex
    first = session.single(lambda connection: add(connection, group_id, items, page=page))
    wake(session)
    return first


def wake(session: Session) -> None:
    """Hint to idle workers that there is work. Only a hint: they poll as well."""
    session.fetch(load(PACKAGE, "notify_ready"))


def seal(session: Session, group_id: int) -> bool:
    """Say that nothing more will be added; True if that completed the group."""
    return bool(session.fetch(load(PACKAGE, "call_group_seal"), (group_id,))[0][0])


def fold(session: Session, group_id: int) -> bool:
    """Count what has ended since; True if this call completed the group's round."""
    return bool(session.fetch(load(PACKAGE, "call_group_fold"), (group_id,))[0][0])


def fold_all(session: Session) -> list[int]:
    """Fold every open group; those that this call completed."""
    return [row[0] for row in session.fetch(load(PACKAGE, "call_fold_all"))]


def cancel(session: Session, group_id: int) -> bool:
    """Mark a group cancelled; False if it was cancelled or complete. `sweep_cancelled` ends what is under way."""
    return bool(session.fetch(load(PACKAGE, "call_group_cancel"), (group_id,))[0][0])


def sweep_cancelled(session: Session, *, limit: int = 5000) -> int:
    """End runs of cancelled groups; how many runs and leased steps were ended. Repeat until 0."""
    return int(session.fetch(load(PACKAGE, "call_sweep_cancelled"), (limit,))[0][0])


def retry(
    session: Session,
    group_id: int,
    *,
    reasons: Sequence[str] | None = None,
    fingerprints: Sequence[str] | None = None,
    runs: Sequence[int] | None = None,
) -> int:
    """Open a new round for failed runs of a group; how many.

    All of them, or those that failed for one of *reasons*, with one of *fingerprints*, and are among *runs*. What no
    run failed for reopens nothing; `check_known` tells a typing mistake from that.
    """
    params = (group_id, reasons and list(reasons), None if runs is None else list(runs),
              fingerprints and list(fingerprints))  # fmt: skip
    reopened = int(session.fetch(load(PACKAGE, "call_group_retry"), params)[0][0])
    wake(session)
    return reopened


@dataclass(frozen=True, slots=True)
class Failure:
    """Runs of one kind that failed alike: how many, and the newest of them."""

    kind: str
    reason: str
    fingerprint: str
    runs: int
    step_id: int
    detail: str


def failures(session: Session, group_ids: Sequence[int]) -> list[Failure]:
    """What failed in these groups and was not retried, most first."""
    return [Failure(*row) for row in session.fetch(load(PACKAGE, "failures"), (list(group_ids),))]


def check_known(failed: Sequence[Failure], reasons: Sequence[str], fingerprints: Sequence[str]) -> None:
    """Raise UsageError, naming those there are, if one of *reasons* or *fingerprints* is nothing that anything *failed*
    for: a filter that is misspelt must not look like a retry of nothing."""
    for name, given, known in (
        ("reason", reasons, {one.reason for one in failed}),
        ("fingerprint", fingerprints, {one.fingerprint for one in failed}),
    ):
        if unknown := [one for one in given if one not in known]:
            there = ", ".join(f"'{one}'" for one in sorted(known)) or "none, for nothing failed"
            raise UsageError(
                f"No run failed with the {name} '{unknown[0]}'; there are: {there}.",
                remedy=f"Give one of them, or leave --{name} out.",
            )


def state(session: Session, group_id: int) -> GroupState | None:
    """A group's counts, deltas included, so they are exact at this moment."""
    found = states(session, [group_id])
    return found[0] if found else None


def states(session: Session, group_ids: Sequence[int]) -> list[GroupState]:
    """`state` of each of these groups that there is, in the order of their ids."""
    return [GroupState(*row) for row in session.fetch(load(PACKAGE, "group_state"), (list(group_ids),))]


def newest(session: Session, *, ended: bool = False, source: str | None = None, limit: int = 100) -> list[int]:
    """The newest groups, newest first: those that are open, or the *ended* ones too; of one *source*."""
    params = {"ended": ended, "source": source, "limit": limit}
    return [row[0] for row in session.fetch(load(PACKAGE, "groups_newest"), params)]


def open_ids(session: Session) -> list[int]:
    """Groups that are not complete, oldest first, at most 100."""
    return [row[0] for row in session.fetch(load(PACKAGE, "groups_open"))]
