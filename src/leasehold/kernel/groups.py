"""Workflows, runs and groups: what a user submits together, and the moment when all of it has ended.

A run takes one item through a workflow; a group is all runs of one submission. A group completes once a round, when it
is sealed and as many runs have ended as were added; failures do not hold that up, they are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load

PACKAGE = "leasehold.kernel"


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """One step of a workflow: its kind, the indexes of the steps that wait for it, and how it is tried again."""

    kind: str
    children: tuple[int, ...] = ()
    attempts_max: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0


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

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled


def chain(*kinds: str, attempts_max: int = 3) -> list[WorkflowStep]:
    """A linear workflow: each kind follows the one before."""
    last = len(kinds) - 1
    return [
        WorkflowStep(kind, (ix + 1,) if ix < last else (), attempts_max=attempts_max) for ix, kind in enumerate(kinds)
    ]


def register(session: Session, name: str, steps: Sequence[WorkflowStep]) -> int:
    """Store a workflow's definition; its id. The same content has the same id; a change gets a new one."""
    body = [
        {
            "kind": step.kind,
            "children": list(step.children),
            "attempts_max": step.attempts_max,
            "backoff_s": step.backoff_s,
            "backoff_max_s": step.backoff_max_s,
        }
        for step in steps
    ]
    return int(session.fetch(load(PACKAGE, "call_workflow_register"), (name, orjson.dumps(body).decode()))[0][0])


def open_group(
    session: Session,
    workflow_id: int,
    *,
    label: str = "",
    idempotency_key: str | None = None,
    weight: int = 1,
    priority: int = 0,
) -> tuple[int, bool]:
    """Open a group; its id, and whether it was created now (a known idempotency key answers with its first group)."""
    key = idempotency_key or f"once {uuid4().hex}"  # this call may be sent again
    row = session.fetch(load(PACKAGE, "call_group_open"), (workflow_id, label, key, weight, priority))[0]
    return int(row[0]), bool(row[1]) or idempotency_key is None


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
    first = session.run(lambda connection: add(connection, group_id, items, page=page))
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
    session: Session, group_id: int, *, reasons: Sequence[str] | None = None, runs: Sequence[int] | None = None
) -> int:
    """Open a new round for failed runs of a group: all, those with one of *reasons*, those among *runs*; how many."""
    params = (group_id, reasons and list(reasons), None if runs is None else list(runs))
    reopened = int(session.fetch(load(PACKAGE, "call_group_retry"), params)[0][0])
    wake(session)
    return reopened


def state(session: Session, group_id: int) -> GroupState | None:
    """A group's counts, deltas included, so they are exact at this moment."""
    rows = session.fetch(load(PACKAGE, "group_state"), (group_id,))
    return GroupState(*rows[0]) if rows else None


def open_ids(session: Session) -> list[int]:
    """Groups that are not complete, oldest first, at most 100."""
    return [row[0] for row in session.fetch(load(PACKAGE, "groups_open"))]
