"""Chains in a worker: an idle one goes on with the run it has, a busy one lets its policy choose."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from test_worker_embedded import Witness, calm_down, config
from worker_help import eventually, eventually_async, submit

from leasehold import Worker
from leasehold.db import session as sessions
from leasehold.testing.faults import FaultPlan

pytestmark = pytest.mark.one_server

KINDS = ["a", "b", "c", "d", "e"]


class Sent:
    """Counts the statements that pass, by what they call."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, moment: str, statement: str) -> None:
        if moment == "before":
            for name in ("claim_with_items", "finish_and_lease", "leasehold.finish("):
                self.calls[name] += name in statement


def chain_of(witness: Witness) -> list:
    return [Witness(name, witness.run).kind for name in KINDS]


def test_a_run_alone_is_claimed_once_and_goes_through_all_its_steps(database, kernel, monkeypatch):
    """Five steps are one claim and five finishes, each of which brings the next step."""
    witness, sent = Witness(), Sent()

    async def story():
        async with Worker(config(database, *chain_of(witness), poll_max_s=5.0)) as worker:
            await eventually_async(lambda: worker._listener.alive)
            monkeypatch.setattr(sessions, "fault", sent)
            (step,) = await asyncio.to_thread(submit, kernel, [{"n": 7}], *KINDS)
            await eventually_async(lambda: worker.counts.ended == 5)
            monkeypatch.setattr(sessions, "fault", None)
            return step

    step = asyncio.run(story())
    assert witness.runs == Counter(range(step, step + 5))
    assert sent.calls == {"claim_with_items": 1, "finish_and_lease": 5, "leasehold.finish(": 0}


def test_a_chains_steps_run_once_each_though_replies_of_claims_and_finishes_are_lost(database, kernel):
    """Method: faults break every fourth round trip of two workers that have room for more than there is."""
    witness = Witness()
    first = submit(kernel, [{"n": n} for n in range(30)], *KINDS)
    plan = FaultPlan(11, {"drop_replies": 0.15, "drop": 0.1, "40P01": 0.02}, limit=200)

    async def story():
        running = [Worker(config(database, *chain_of(witness), consumers={"a": 2, "*": 8})) for _ in range(2)]
        for worker in running:
            await worker.start()
        await eventually_async(lambda: sum(worker.counts.ended for worker in running) >= 150, within_s=60)
        for worker in running:
            await worker.stop(5)
        return running

    with plan.installed():
        workers = asyncio.run(story())
    assert plan.happened["drop_replies"] > 5
    assert witness.runs == Counter(step + i for step in first for i in range(5))
    assert all(worker._ledger.empty for worker in workers)
    assert kernel.counted("lease") == 0


def test_a_finish_that_was_never_answered_is_sent_again_as_it_was_and_its_successors_are_worked(database, kernel):
    """Or they would be leased to a worker that knows nothing of them, and its slots promised to nobody.

    Method: the finish commits, its reply is lost, and the database stays away for longer than the worker is patient.
    """
    witness = Witness()
    plan = FaultPlan().at("drop_answers", of="leasehold.finish_and_lease(")  # sent alone: it has committed
    for _ in range(6):
        plan.at("drop", of="leasehold.finish", n=2)

    async def story():
        async with Worker(config(database, *chain_of(witness))) as worker:
            calm_down(worker, 0.05)
            await eventually_async(lambda: worker._listener.alive)
            with plan.installed():
                steps = await asyncio.to_thread(submit, kernel, [{"n": 7}], *KINDS)
                await eventually_async(lambda: worker.counts.ended == 5)
            assert plan.happened == {"drop_answers": 1, "drop": 6}
            await eventually_async(lambda: worker._ledger.empty)
            assert not any(worker._ledger.in_consumers.values())
            return steps

    (first,) = asyncio.run(story())
    assert witness.runs == Counter(range(first, first + 5))


def test_a_worker_whose_pool_is_busy_lets_the_policy_choose(database, kernel):
    """With one consumer and older work of a higher priority waiting, a run's next step does not go first."""
    order: list[str] = []

    async def work(step):
        order.append(step.item["who"])

    witness = Witness(work=work)
    submit(kernel, [{"who": "chain"}], "a", "b", wake=False)
    submit(kernel, [{"who": "urgent"}] * 4, "c", wake=False)
    kernel.session.fetch("update leasehold.lane set priority = 9 where kind = 'c'")

    async def story():
        async with Worker(config(database, *chain_of(witness), consumers={"*": 1})) as worker:
            await eventually_async(lambda: worker.counts.ended == 6)

    asyncio.run(story())
    assert order.index("chain") > 0 or order[-1] == "chain"
    assert order[-1] == "chain"


def test_a_consumer_that_becomes_free_is_given_what_waits_in_its_pool_and_not_at_the_next_poll(database, kernel):
    """Method: polls are too rare to help. One pool is always full, the other has room and chains that go on by
    themselves, so that nothing is announced."""
    witness = Witness()
    submit(kernel, [{}] * 20, "a")
    submit(kernel, [{}] * 3, "b", "c", "d")

    async def story():
        async with Worker(config(database, *chain_of(witness), consumers={"a": 1, "*": 8}, poll_max_s=600.0)) as worker:
            await eventually_async(lambda: worker.counts.ended == 29)

    asyncio.run(story())


def test_what_a_finish_brings_after_the_stop_has_begun_is_given_back_uncharged(database, kernel):
    gate = asyncio.Event()

    async def work(step):
        if step.step_id % 1024 == 0:
            await gate.wait()

    witness = Witness(work=work)
    (step,) = submit(kernel, [{}], *KINDS)

    async def story():
        worker = Worker(config(database, *chain_of(witness)))
        await worker.start()
        await eventually_async(lambda: witness.now == 1)
        stopping = asyncio.create_task(worker.stop(10))
        await asyncio.sleep(0)
        gate.set()
        await stopping
        return worker

    worker = asyncio.run(story())
    assert worker._ledger.empty
    eventually(lambda: kernel.state(step) == "succeeded")
    assert kernel.state(step + 1) == "ready"
    assert witness.runs == Counter([step])
