"""Workflows at work: what steps are given, what becomes of what they give, and that neither edits nor deaths change it.

The steps are functions of this module; what they do is told by the items, and what they saw is kept in `SEEN`.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest
from worker_help import eventually_async

from leasehold import (
    AsyncContext,
    Context,
    Done,
    ErrorClass,
    Flow,
    Skip,
    StepError,
    Worker,
    WorkerConfig,
    step,
    workflow,
)
from leasehold.db.target import Target
from leasehold.errors import LeaseLost
from leasehold.kernel import checks, groups
from leasehold.options import LeaseOptions
from leasehold.worker import workflows as wiring
from leasehold.workflows import parameter_sets, submitting
from leasehold.workflows.checking import check
from leasehold.workflows.finding import Catalog, Places

pytestmark = pytest.mark.one_server

CALM = LeaseOptions(ttl_s=60, heartbeat_s=10)
QUICK = LeaseOptions(ttl_s=4, heartbeat_s=0.2)
SEEN: list[object] = []


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()
    GO.clear()


GO = threading.Event()


@dataclass(frozen=True)
class Cut:
    width: int = 3


@step(timeout_s=20)
def read(context: Context[None]) -> Done:
    context.save_artifact("whole", context.item["text"].encode())
    return Done({"text": context.item["text"]})


@step(parameters=Cut, timeout_s=20)
def cut(context: Context[Cut]) -> str:
    return context.parent["text"][: context.parameters.width]


@step(timeout_s=20)
async def count(context: AsyncContext[None]) -> int:
    whole = await context.artifact("whole", step="read")
    assert whole is not None
    return len(whole)


@step(timeout_s=20, retries=2)
def join(context: Context[None]) -> Done:
    SEEN.append((context.item["text"], dict(context.parents)))
    return Done(f"{context.parents['cut']} {context.parents['count']}")


@workflow("report")
def report(flow: Flow) -> None:
    first = flow.step(read)
    flow.step(join, after=[flow.step(cut, after=first), flow.step(count, after=first)])


def catalog_of(*layouts) -> Catalog:
    catalog = Catalog()
    check([one.__leasehold_workflow__ for one in layouts], [], catalog)
    catalog.require_sound()
    return catalog


@pytest.fixture
def work(database, monkeypatch):
    """A worker that knows the workflows given."""

    def made(*layouts, lease=CALM, **options) -> Worker:
        monkeypatch.setattr(wiring, "find", lambda places: catalog_of(*layouts))
        kinds = wiring.kinds(Target(url=database), Places())
        return Worker(WorkerConfig(database=database, kinds=kinds, lease=lease, poll_max_s=0.1, **options))

    return made


def run(worker: Worker, kernel, group: int, *during) -> None:
    async def main():
        async with worker:
            for one in during:
                await one()
            await eventually_async(lambda: kernel.fold(group) or groups.state(kernel.session, group).completed)

    asyncio.run(main())


def result_of(session, run_id: int, ix: int):
    rows = session.fetch("select result from leasehold.step_result where step_id = %s", (run_id * 1024 + ix,))
    return rows[0][0] if rows else None


def first_run(session, group: int) -> int:
    return session.fetch("select min(first_run) from leasehold.group_span where group_id = %s", (group,))[0][0]


def submit(session, layout, items, **options) -> int:
    (one,) = catalog_of(layout).workflows.values()
    overrides = options.pop("overrides", None)
    parameters = parameter_sets.of(one, overrides)
    return submitting.submit(session, one, items, parameters=parameters, **options).group_id


def test_a_join_is_given_what_its_parents_gave_and_artifacts_are_read_by_name(session, kernel, work):
    group = submit(session, report, [{"text": "slate roof"}, {"text": "fog"}], overrides={"cut": {"width": 4}})
    run(work(report), kernel, group)
    assert groups.state(session, group).succeeded == 2
    assert sorted(SEEN) == [("fog", {"cut": "fog", "count": 3}), ("slate roof", {"cut": "slat", "count": 10})]
    assert result_of(session, first_run(session, group), 3) == "slat 10"
    assert session.fetch("select count(*) from leasehold.artifact where kind = 'workflow'") == [(2,)]


def test_a_queued_run_keeps_the_method_and_parameters_it_was_submitted_with(session, kernel, work):
    """Method: a group is submitted; then the workflow is edited (another function, other parameters, one step less) and
    submitted again; one worker that knows only the edited form works both."""

    @workflow("report")
    def edited(flow: Flow) -> None:
        flow.step(read)
        flow.step(count, name="cut")

    first = submit(session, report, [{"text": "slate"}], overrides={"cut": {"width": 2}})
    second = submit(session, edited, [{"text": "slate"}])
    worker = work(edited)
    run(worker, kernel, first)
    run(work(edited), kernel, second)
    assert result_of(session, first_run(session, first), 3) == "sl 5"
    assert result_of(session, first_run(session, second), 1) == 5


@step(timeout_s=20)
def resumes(context: Context[None]) -> list[int]:
    done = context.load([])
    SEEN.append(list(done))
    for n in range(len(done), 3):
        done.append(n)
        context.save(done)
        context.progress(len(done), 3, "counting")
        if n == 1 and context.attempt == 1:
            raise StepError("interrupted", error_class=ErrorClass.TRANSIENT, retry_after_s=0.0)
    return done


@workflow("resume")
def resume(flow: Flow) -> None:
    flow.step(resumes)


def test_a_checkpoint_is_found_by_the_next_attempt_and_gone_after_success(session, kernel, work):
    group = submit(session, resume, [{}])
    run(work(resume), kernel, group)
    assert SEEN == [[], [0, 1]]
    assert result_of(session, first_run(session, group), 0) == [0, 1, 2]
    assert kernel.counted("checkpoint") == 0


@step(timeout_s=60)
def waits(context: Context[None]) -> str:
    SEEN.append(context.token)
    GO.set()
    while not context.cancelled:
        threading.Event().wait(0.01)
    SEEN.append("told")
    try:
        context.save("late")
    except LeaseLost:
        SEEN.append("refused")
        raise
    return "late"


@workflow("waiting")
def waiting(flow: Flow) -> None:
    flow.step(waits)


def test_a_plain_step_whose_run_is_cancelled_is_told_and_its_writes_are_refused(session, kernel, work):
    group = submit(session, waiting, [{}])

    async def cancel():
        await eventually_async(GO.is_set)
        kernel.cancel_runs(first_run(session, group))
        await eventually_async(lambda: "refused" in SEEN)

    run(work(waiting, lease=QUICK), kernel, group, cancel)
    assert SEEN[1:] == ["told", "refused"]
    assert groups.state(session, group).cancelled == 1
    assert kernel.counted("checkpoint") == 0


@step(timeout_s=20)
def gives(context: Context[None]):
    what = context.item["what"]
    if what == "set":
        return {1, 2}
    if what == "large":
        return "x" * 2_000_000
    if what == "nul":
        return Done("a\x00b")
    if what == "skip":
        return Skip("nothing to do")
    if what == "raise":
        raise RuntimeError("no luck")
    return None


@workflow("giving")
def giving(flow: Flow) -> None:
    flow.step(gives, retries=0)


def test_what_a_step_gives_is_kept_or_the_step_fails_with_what_to_do(session, kernel, work):
    items = [{"what": what} for what in ("set", "large", "nul", "skip", "raise", "none")]
    group = submit(session, giving, items)
    run(work(giving), kernel, group)
    rows = dict(
        session.fetch(
            "select p.item ->> 'what', o.ended || ': ' || coalesce(o.reason, '') "
            "from leasehold.outcome o join leasehold.payload p on p.run_id = o.step_id >> 10"
        )
    )
    assert rows == {
        "set": "failed: result cannot be kept", "large": "failed: result cannot be kept",
        "nul": "failed: result cannot be kept", "skip": "cancelled: nothing to do",
        "raise": "failed: RuntimeError", "none": "succeeded: ",
    }  # fmt: skip
    details = " ".join(str(one) for (one,) in session.fetch("select detail from leasehold.outcome"))
    assert "save_artifact" in details


def test_a_method_that_this_worker_may_not_import_waits_and_says_so(session, kernel, work):
    """Aim: whoever can write a row must not thereby choose what a worker runs."""
    group = submit(session, giving, [{"what": "none"}])
    session.fetch("update leasehold.step_config set method = 'os:getcwd'")
    worker = work(giving)

    async def main():
        async with worker:
            await eventually_async(lambda: kernel.counted("delayed"))

    asyncio.run(main())
    assert session.fetch("select why, attempt from leasehold.delayed") == [("method not here", 1)]
    assert groups.state(session, group).ended == 0


def test_a_group_that_was_opened_without_a_parameter_set_fails_and_says_so(session, kernel, work):
    group = kernel.group(steps=catalog_of(giving).workflow("giving").kernel_steps)
    kernel.add(group)
    kernel.seal(group)
    run(work(giving), kernel, group)
    assert [one.reason for one in groups.failures(session, [group])] == ["no parameter set"]
    assert checks.violations(session) == []
