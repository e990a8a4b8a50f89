"""The synthetic workload: steps whose results depend on their parents' results, so that any slip shows in the digest.

Each step writes one row, its effect, in the transaction that records its end. The row's value is a hash of its run, its
place, and the values of the steps it waited for, as the database has them at that moment: a step that ran before its
parent, or after a parent whose effect was written twice, has another value than the plan says.

Some steps snooze, some fail once and are tried again, some fail for good; which ones is a function of the run's number,
so the plan (`expected`) knows the whole result without running anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.kernel import groups
from leasehold.kernel.groups import WorkflowStep
from leasehold.types import Done, ErrorClass, Outcome, Snooze, StepError, StepLease
from leasehold.worker.kinds import Kind

PACKAGE = "leasehold.chaos"
FACTORY = "leasehold.chaos.workload:kinds"
ATTEMPTS_MAX = 1000
"""A step whose worker is killed while it holds nothing else is charged; here that is never the step's fault."""
NAP_S = 0.004


def _step(kind: str, *children: int) -> WorkflowStep:
    return WorkflowStep(kind, children, attempts_max=ATTEMPTS_MAX, backoff_s=0.05, backoff_max_s=0.5)


WORKFLOWS: dict[str, list[WorkflowStep]] = {
    "single": [_step("read")],
    "chain": [_step("read", 1), _step("grind", 2), _step("count", 3), _step("pack")],
    "fork": [_step("read", 1, 2), _step("grind", 3), _step("count", 3), _step("pack")],
}
PARENTS = {
    name: [[i for i, step in enumerate(body) if ix in step.children] for ix in range(len(body))]
    for name, body in WORKFLOWS.items()
}
SEATS = {"fork": {"pack": "chaos:packer"}}
"""Joins are packed behind a lock: one worker at a time."""
NAMES = ("single", "chain", "fork", "chain", "fork")


def workflow_of(group_no: int) -> str:
    return NAMES[group_no % len(NAMES)]


# -- what is expected -------------------------------------------------------------------------------------------------


def snoozes(n: int) -> bool:
    return n % 11 == 3


def errs_once(n: int) -> bool:
    return n % 13 == 5


def fails(n: int, workflow: str) -> bool:
    """For good, in the third step of a chain: nothing beside it is under way, so what was done before is known."""
    return workflow == "chain" and n % 17 == 7


def expected(n: int, workflow: str) -> list[tuple[int, str]]:
    """(place, value) of every effect of run *n*."""
    values: list[str] = []
    for ix in range(len(WORKFLOWS[workflow])):
        if fails(n, workflow) and ix == 2:
            break
        text = f"{n}.{ix}:" + ",".join(values[parent] for parent in PARENTS[workflow][ix])
        values.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return list(enumerate(values))


def digest(rows: Iterator[tuple[int, int, str]]) -> str:
    """Of (run, place, value) in order."""
    state = hashlib.sha256()
    for n, ix, value in rows:
        state.update(f"{n}.{ix}={value}\n".encode())
    return state.hexdigest()


def digest_of(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def planned(groups_of: Sequence[tuple[str, int, int]]) -> Iterator[tuple[int, int, str]]:
    """The whole result of groups given as (workflow, first run number, runs)."""
    for workflow, first, count in groups_of:
        for n in range(first, first + count):
            yield from ((n, ix, value) for ix, value in expected(n, workflow))


# -- submitting -------------------------------------------------------------------------------------------------------


def prepare(session: Session) -> None:
    session.fetch(load(PACKAGE, "effect_table"))


def submit(session: Session, key: str, workflow: str, first: int, count: int) -> int:
    """A sealed group of runs *first* to *first + count - 1*; its id. May be sent again: the key and pages say so."""
    workflow_id = groups.register(session, f"chaos {workflow}", WORKFLOWS[workflow])
    group_id, _ = groups.open_group(
        session, workflow_id, label=f"chaos {workflow} {first}", idempotency_key=key, seats=SEATS.get(workflow)
    )
    items = [{"n": n, "workflow": workflow} for n in range(first, first + count)]
    half = len(items) // 2
    for name, part in (("1", items[:half]), ("2", items[half:])):
        session.run(partial(groups.add, group_id=group_id, items=part, page=name))
        groups.wake(session)
    groups.seal(session, group_id)
    return group_id


# -- working ----------------------------------------------------------------------------------------------------------


def outcome_of(lease: StepLease) -> Outcome:
    n, workflow, ix = lease.item["n"], lease.item["workflow"], lease.step_id & 1023
    if ix == 2 and fails(n, workflow):
        return StepError("meant to fail", "the plan says so", error_class=ErrorClass.PERMANENT)
    if ix == 1 and errs_once(n) and lease.attempt == 1:
        return StepError("meant to be tried again", error_class=ErrorClass.TRANSIENT)
    return Done()


async def nap(lease: StepLease) -> Outcome:
    await asyncio.sleep(NAP_S)
    return outcome_of(lease)


def grind(lease: StepLease) -> Outcome:
    """Keeps the interpreter busy for a moment."""
    stop_at = time.perf_counter() + NAP_S / 4
    while time.perf_counter() < stop_at:
        hashlib.sha256(b"leasehold").digest()
    return outcome_of(lease)


def page(context: Any, leases: Sequence[StepLease]) -> Iterator[tuple[int, Outcome, int]]:
    for index, lease in enumerate(leases):
        context.begin(lease)
        time.sleep(NAP_S / 8)
        yield index, outcome_of(lease), 100


class Snoozer:
    """The first time that this process meets a step which is to snooze, it does."""

    def __init__(self) -> None:
        self._met: set[int] = set()

    def __call__(self, context: Any, leases: Sequence[StepLease]) -> Iterator[tuple[int, Outcome, int]]:
        for index, outcome, weight in page(context, leases):
            lease = leases[index]
            if snoozes(lease.item["n"]) and lease.step_id not in self._met:
                self._met.add(lease.step_id)
                yield index, Snooze(0.05, "meant to snooze"), weight
            else:
                yield index, outcome, weight


def write_effects(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
    done = [lease for lease, outcome in ended if isinstance(outcome, Done)]
    if done:
        masks = [sum(1 << parent for parent in PARENTS[lease.item["workflow"]][lease.step_id & 1023]) for lease in done]
        steps, tokens = [lease.step_id for lease in done], [lease.token for lease in done]
        params = steps, tokens, [lease.item["n"] for lease in done], masks
        execute(connection, load(PACKAGE, "effect_write"), params)


def kinds(target: Target, options: dict[str, Any]) -> list[Kind]:
    """One of each form: async, plain, and two that take pages."""
    return [
        Kind(name="read", timeout_s=30, run=nap, effects=write_effects, page_max=20, prefetch=20),
        Kind(name="grind", timeout_s=30, run=grind, effects=write_effects, page_max=20),
        Kind(name="count", timeout_s=30, run_page=page, effects=write_effects, page_max=20),
        Kind(name="pack", timeout_s=30, run_page=Snoozer(), effects=write_effects, page_max=20),
    ]
