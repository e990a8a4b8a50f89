"""The workbench: what people test their steps with does what a worker does, and in the test's own thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from leasehold import AsyncContext, Context, Done, ErrorClass, Flow, Skip, Snooze, StepError, step, workflow
from leasehold.errors import UsageError

pytestmark = pytest.mark.one_server


@dataclass(frozen=True)
class Cut:
    width: int = 3


@step(timeout_s=5)
def read(context: Context[None]) -> Done:
    context.save_artifact("whole", context.item["text"].encode())
    return Done(context.item["text"])


@step(parameters=Cut, timeout_s=5)
def cut(context: Context[Cut]) -> str:
    return context.parent[: context.parameters.width]


@step(timeout_s=5, retries=2)
async def count(context: AsyncContext[None]) -> int:
    whole = await context.artifact("whole", step="read")
    assert whole is not None
    seen = await context.load(0)
    await context.save(seen + 1)
    if context.item.get("flaky", 0) > seen:
        raise StepError("not now", error_class=ErrorClass.TRANSIENT)
    return len(whole)


@step(timeout_s=5)
def join(context: Context[None]) -> object:
    if context.item.get("bug"):
        raise KeyError("bug")
    if context.item.get("skip"):
        return Skip("nothing to join")
    return dict(context.parents)


@workflow("report")
def report(flow: Flow) -> None:
    first = flow.step(read)
    flow.step(
        join,
        after=[flow.step(cut, after=first), flow.step(count, after=first)],
        retries=1,
        backoff_s=3600,
        backoff_max_s=3600,
    )


def test_one_step_is_given_what_the_test_says(workbench):
    assert workbench.step(cut, parents={"read": "slate roof"}).result == "sla"
    assert workbench.step(cut, parents={"read": "slate roof"}, parameters=Cut(width=5)).result == "slate"
    assert workbench.step(cut, parents={"read": "slate roof"}, parameters={"width": 4}).result == "slat"
    assert workbench.step(join, {}, parents={"cut": "s", "count": 3}).result == {"cut": "s", "count": 3}
    with pytest.raises(UsageError, match="did you mean 'width'"):
        workbench.step(cut, parents={"read": "x"}, parameters={"widht": 4})


def test_one_steps_artifacts_and_checkpoints_are_there(workbench):
    end = workbench.step(read, {"text": "slate"})
    assert (end.result, end.artifacts) == ("slate", {"whole": b"slate"})
    artifacts = {("read", "whole"): b"fog"}
    assert workbench.step(count, {}, artifacts=artifacts).result == 3
    assert workbench.step(count, {"flaky": 1}, artifacts=artifacts).outcome.reason == "not now"
    assert workbench.step(count, {"flaky": 1}, artifacts=artifacts, attempt=2, checkpoint=1).result == 3


def test_one_step_runs_in_the_tests_thread_and_lets_mistakes_through(workbench):
    with pytest.raises(KeyError, match="bug"):
        workbench.step(join, {"bug": True})
    seen = []

    def noted(context):
        seen.append(threading.current_thread())

    noted.__qualname__ = "noted"
    workbench.step(noted)
    assert seen == [threading.main_thread()]


def test_a_run_goes_to_its_end_with_retries_and_hours_of_backoff_in_no_time(workbench):
    end = workbench.run(report, {"text": "slate roof", "flaky": 2}, parameters={"cut": {"width": 5}})
    assert end.ended == "succeeded"
    assert end.results == {"read": "slate roof", "cut": "slate", "count": 10, "join": {"cut": "slate", "count": 10}}
    assert [(one.step, one.attempt, one.ended) for one in end.attempts if one.step == "count"] == [
        ("count", 1, "error"), ("count", 2, "error"), ("count", 3, "succeeded"),
    ]  # fmt: skip
    failed = workbench.run(report, {"text": "x", "bug": True})
    assert (failed.ended, failed.reason) == ("failed", "KeyError")
    assert "bug" in failed.attempts[-1].detail
    assert workbench.run(report, {"text": "x", "skip": True}).ended == "cancelled"


def test_a_whole_workflow_ends_in_the_order_of_its_items(workbench):
    ends = workbench.work(report, [{"text": text} for text in ("a", "bb", "ccc")])
    assert [one.results["count"] for one in ends] == [1, 2, 3]
    assert [one.item["text"] for one in ends] == ["a", "bb", "ccc"]


@step(timeout_s=5)
def waits(context: Context[None]) -> object:
    return Snooze(3600, "not yet") if context.load(0) > 2 else Done(context.save(context.load(0) + 1))


def test_snoozes_are_over_at_once(workbench):
    @workflow("waiting")
    def waiting(flow: Flow) -> None:
        flow.step(waits)

    assert workbench.run(waiting, {}).ended == "succeeded"
