"""Page functions in a worker: what is recorded, who is blamed, and that nothing of a page is forgotten."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import pytest
from test_worker_embedded import calm_down, config, drain
from worker_help import eventually_async, submit

from leasehold import Kind, Worker
from leasehold.testing.faults import FaultPlan
from leasehold.types import Done, ErrorClass, StepError
from leasehold.worker import claiming, pages

pytestmark = pytest.mark.one_server


def paged(run_page, **options) -> Kind:
    return Kind(name="work", run_page=run_page, **{"timeout_s": 10, "page_max": 20, **options})


def outcomes(kernel, steps):
    return [kernel.outcomes(step)[-1][0] if kernel.outcomes(step) else None for step in steps]


def test_a_page_function_that_raises_before_it_says_where_it_is_costs_only_the_culprit(database, kernel):
    def page(context, leases):
        if any(lease.item["n"] == 7 for lease in leases):
            raise RuntimeError("seven")
        for index, _ in enumerate(leases):
            yield index, Done(), 0

    steps = submit(kernel, [{"n": n} for n in range(20)], "work", attempts_max=1)
    asyncio.run(drain(database, kernel, [paged(page)], 20))
    assert [n for n, how in enumerate(outcomes(kernel, steps)) if how != "succeeded"] == [7]
    assert kernel.outcomes(steps[7]) == [("failed", "RuntimeError")]


def test_the_culprit_of_a_page_of_sixty_four_is_found_by_halves(database, kernel):
    """A provider refuses a request for one text in it: two calls for each halving, not one for each text."""
    calls = []

    def page(context, leases):
        calls.append(len(leases))
        if any(lease.item["n"] == 37 for lease in leases):
            raise ValueError("one of these texts")
        for index, _ in enumerate(leases):
            yield index, Done(), 0

    steps = submit(kernel, [{"n": n} for n in range(64)], "work", attempts_max=1)
    asyncio.run(drain(database, kernel, [paged(page, page_max=64)], 64))
    assert [n for n, how in enumerate(outcomes(kernel, steps)) if how != "succeeded"] == [37]
    assert len(calls) == 1 + 2 * 6


@pytest.mark.parametrize("says", [True, False])
def test_a_page_of_slow_steps_gives_the_rest_to_others_and_the_next_ones_are_as_short_as_they_must_be(
    database, kernel, monkeypatch, says
):
    """One that says which step it works on; what a function that does not has worked before its first word is kept."""
    monkeypatch.setattr(pages, "PAGE_S", 0.05)
    monkeypatch.setattr(claiming, "PAGE_S", 0.05)
    given = []

    def page(context, leases):
        given.append(len(leases))
        for index, lease in enumerate(leases):
            if says:
                context.begin(lease)
            time.sleep(0.06 if says or not index else 0)
            yield index, Done(), 0

    steps = submit(kernel, [{}] * 20, "work", attempts_max=1)
    asyncio.run(drain(database, kernel, [paged(page)], 20, consumers={"*": 1}))
    assert outcomes(kernel, steps) == ["succeeded"] * 20
    assert given == ([20] + [1] * 19 if says else [20])
    assert [kernel.attempt(step) for step in steps] == [1] * 20


def test_an_error_that_may_pass_and_is_nobodys_fault_ends_the_whole_page_with_one_call(database, kernel):
    """The provider is busy: its steps wait, none is charged an attempt, and nobody is asked again at once."""
    calls = []

    def page(context, leases):
        calls.append(len(leases))
        if len(calls) == 1:
            yield 0, Done(), 0
            raise StepError("busy", error_class=ErrorClass.RESOURCE, retry_after_s=0.01)
        for index, _ in enumerate(leases):
            yield index, Done(), 0

    steps = submit(kernel, [{"n": n} for n in range(10)], "work", attempts_max=1)
    asyncio.run(drain(database, kernel, [paged(page)], 19))
    assert outcomes(kernel, steps) == ["succeeded"] * 10
    assert {kernel.attempt(step) for step in steps} == {1}
    assert calls[0] == 10
    assert sum(calls[1:]) == 9


def test_a_step_that_raises_after_begin_fails_alone_and_the_page_goes_on(database, kernel):
    passes = []

    def page(context, leases):
        passes.append(len(leases))
        for index, lease in enumerate(leases):
            context.begin(lease)
            if lease.item["n"] in (3, 8):
                raise ValueError(lease.item["n"])
            yield index, Done(), 0

    steps = submit(kernel, [{"n": n} for n in range(12)], "work", attempts_max=1)
    asyncio.run(drain(database, kernel, [paged(page)], 12))
    assert [n for n, how in enumerate(outcomes(kernel, steps)) if how != "succeeded"] == [3, 8]
    assert passes == [12, 8, 3]


@pytest.mark.parametrize(
    ("wrong", "failed"),
    [("twice", 0), ("out of range", 10), ("too few", 3), ("no outcome", 0)],
)
def test_a_page_function_that_breaks_its_contract_leaves_no_step_behind(database, kernel, wrong, failed):
    def page(context, leases):
        for index, lease in enumerate(leases):
            if wrong == "too few" and lease.item["n"] >= 7:
                return
            yield index + 100 * (wrong == "out of range"), "x" if wrong == "no outcome" else Done(), 0
            if wrong == "twice":
                yield index, Done(), 0

    steps = submit(kernel, [{"n": n} for n in range(10)], "work", attempts_max=1)
    (worker,) = asyncio.run(drain(database, kernel, [paged(page)], 10))
    assert outcomes(kernel, steps).count("failed") == worker.counts.failed == failed
    assert worker._ledger.empty


def test_a_page_whose_database_goes_away_is_recorded_or_given_back_when_it_returns(database, kernel):
    """Nothing of it stays held by a worker that has forgotten it, and an outage charges no step.

    Method: recording breaks when half of the page has been worked, and again when it is tried later.
    """
    runs = Counter()

    def page(context, leases):
        context.session.patience_s = 0.0
        for index, lease in enumerate(leases):
            context.begin(lease)
            runs[lease.item["n"]] += 1
            if lease.item["n"] == 5 and runs[5] == 1:
                context.session.fetch("select 'the page reads'")
            yield index, Done(), 0

    steps = submit(kernel, [{"n": n} for n in range(10)], "work")
    plan = FaultPlan().at("drop", of="the page reads").at("drop", of="leasehold.finish", n=1)

    async def story():
        async with Worker(config(database, paged(page))) as worker:
            calm_down(worker, 0.0)
            await eventually_async(lambda: worker.counts.ended == 10)
            return worker

    with plan.installed():
        worker = asyncio.run(story())
    assert plan.happened["drop"] == 2
    assert outcomes(kernel, steps) == ["succeeded"] * 10
    assert {kernel.attempt(step) for step in steps} == {1}
    assert worker._ledger.empty
    assert worker.counts.failed == 0


def test_a_stopped_page_ends_its_step_and_gives_the_rest_back_uncharged(database, kernel):
    gate, began = threading.Event(), threading.Event()

    def page(context, leases):
        for index, lease in enumerate(leases):
            context.begin(lease)
            began.set()
            gate.wait(20)
            yield index, Done(), 0

    steps = submit(kernel, [{"n": n} for n in range(6)], "work")

    async def story():
        worker = Worker(config(database, paged(page)))
        await worker.start()
        await asyncio.to_thread(began.wait, 20)
        stopping = asyncio.create_task(worker.stop(10))
        await eventually_async(worker._page_stop.is_set)
        gate.set()
        await stopping

    asyncio.run(story())
    assert outcomes(kernel, steps) == ["succeeded", *[None] * 5]
    assert [kernel.state(step) for step in steps[1:]] == ["ready"] * 5
    assert {kernel.attempt(step) for step in steps} == {1}


def test_no_more_pages_run_at_once_than_the_pool_has_consumers(database, kernel):
    lock, now, most = threading.Lock(), [0], [0]

    def page(context, leases):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        for index, _ in enumerate(leases):
            yield index, Done(), 0
        with lock:
            now[0] -= 1

    submit(kernel, [{"n": n} for n in range(200)], "work")
    asyncio.run(drain(database, kernel, [paged(page, page_max=10)], 200, consumers={"*": 2}))
    assert most[0] <= 2
