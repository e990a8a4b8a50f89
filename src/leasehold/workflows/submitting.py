"""Submitting: items into a workflow as one group, under one version of it and one parameter set.

A group is opened, told its parameter set, filled in pages, and sealed. With an idempotency key all of it may be done
again, by the same process or another one: a group that was sealed is left as it is, one that was not is filled up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import orjson

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import QueueFull, Refused
from leasehold.kernel import groups
from leasehold.workflows import parameter_sets
from leasehold.workflows.definition import DEFAULT_SET, Workflow
from leasehold.workflows.parameter_sets import PACKAGE, ParameterSet

PAGE = 500


@dataclass(frozen=True, slots=True)
class Submitted:
    """`created`: False when the key was known and the group complete in itself; then `added` is what it had."""

    group_id: int
    workflow_id: int
    set_id: int
    created: bool
    added: int


def register(session: Session, workflow: Workflow) -> int:
    """The kernel's id of this very version."""
    return groups.register(session, workflow.id, workflow.kernel_steps, hooks=workflow.hooks)


def submit(
    session: Session,
    workflow: Workflow,
    items: Iterable[Any],
    *,
    parameters: ParameterSet | None = None,
    set_name: str | None = DEFAULT_SET,
    key: str | None = None,
    label: str = "",
    options: Mapping[str, Any] | None = None,
    full: Callable[[QueueFull], None] | None = None,
) -> Submitted:
    """A sealed group of one run for each item.

    Args:
        parameters: the workflow's own without more.
        set_name: the name that the parameter set is stored under; None: it has none.
        options: as of `groups.open_group`: weight, priority, failures_max, …
        full: called when as many runs are open as may be; when it returns, the page is tried again.

    Raises:
        GroupEnded: the key belongs to a group that has ended.
        Refused: the key belongs to a group of another version of the workflow, of other parameters, or of other items.
        QueueFull: as many runs are open as may be; what was added before stays, and the same key goes on from there.
    """
    chosen = parameters or parameter_sets.of(workflow)
    workflow_id = register(session, workflow)
    set_id = parameter_sets.register(session, chosen, name=set_name)
    group_id, created = groups.open_group(
        session, workflow_id, label=label, idempotency_key=key, seats=workflow.seats, **(options or {})
    )
    params = group_id, set_id, [step.timeout_s for step in workflow.steps]
    settled = int(session.fetch(load(PACKAGE, "call_group_settle"), params)[0][0])
    if settled != set_id:
        raise Refused(f"The idempotency key '{key}' belongs to group {group_id}, which has other parameters.",
                      remedy="Give each submission a key of its own.")  # fmt: skip
    state = groups.state(session, group_id)
    assert state is not None
    if state.sealed:
        return Submitted(group_id, workflow_id, set_id, created=False, added=state.added)
    there = {} if created else _pages_there(session, group_id)
    added = 0
    for number, page in enumerate(_pages(items)):
        digest = hashlib.sha256(orjson.dumps(page)).hexdigest()[:16]
        if there.get(number, digest) != digest:
            raise Refused(f"The idempotency key '{key}' belongs to group {group_id}, which has other items.",
                          remedy="Give each submission a key of its own.")  # fmt: skip
        _add(session, group_id, page, f"{number} {digest}", full)
        added += len(page)
    groups.seal(session, group_id)
    return Submitted(group_id, workflow_id, set_id, created, added)


def _add(session: Session, group_id: int, page: list[Any], name: str, full: Callable[[QueueFull], None] | None) -> None:
    while True:
        try:
            session.run(partial(groups.add, group_id=group_id, items=page, page=name))
        except QueueFull as error:
            if full is None:
                raise
            full(error)
        else:
            groups.wake(session)
            return


def _pages_there(session: Session, group_id: int) -> dict[int, str]:
    """The digests of the pages that the group has, by their numbers."""
    names = [name.split() for (name,) in session.fetch(load(PACKAGE, "pages_there"), (group_id,))]
    return {int(number): digest for number, digest in names}


def _pages(items: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(items)
    while page := list(islice(left, PAGE)):
        yield page
