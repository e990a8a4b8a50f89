"""Consumers alone: an interruption ends with its step, nothing takes a consumer along, each step is reported once."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from leasehold.types import Done, StepError, StepLease
from leasehold.worker.consumers import Consumers
from leasehold.worker.kinds import Kind
from leasehold.worker.threads import Threads


class Pool:
    """Consumers whose reports are kept, with a sweeper."""

    def __init__(self, size: int = 1) -> None:
        self.reports: list[tuple[int, object]] = []
        self.consumers = Consumers(size, lambda kind, lease, outcome: self.reports.append((lease.step_id, outcome)),
                                   Threads(size, "test-consumer"), None, 0)  # fmt: skip

    async def run(self, works, *, timeout_s: float = 30.0, sweep: bool = False) -> list[object]:
        """Run each of *works* as a step; the outcomes in the steps' order."""
        for step_id, work in enumerate(works, 1):
            self.consumers.put(Kind(name="work", timeout_s=timeout_s, run=work), [StepLease(step_id, 7, 1)])
        give_up_at = time.monotonic() + 10
        while len(self.reports) < len(works):
            assert time.monotonic() < give_up_at, self.reports
            if sweep:
                self.consumers.sweep()
            await asyncio.sleep(0.005)
        return [outcome for _, outcome in sorted(self.reports, key=lambda report: report[0])]


def story(scenario, size: int = 1):
    async def main():
        pool = Pool(size)
        pool.consumers.start()
        try:
            return await asyncio.wait_for(scenario(pool), 15)
        finally:
            await pool.consumers.stop(0.2)

    return asyncio.run(main())


async def fine(step):
    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0, "the cancellation of the step before is still in force"
    return Done(step.step_id)


async def hangs(step):
    await asyncio.sleep(60)


async def swallows(step):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return Done("after all")


async def answers_with_an_error(step):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise StepError("mine") from None


@pytest.mark.parametrize(
    ("work", "reason"),
    [(hangs, "timeout"), (swallows, "after all"), (answers_with_an_error, "mine")],
)
def test_a_timeout_interrupts_one_step_and_the_next_one_starts_uncancelled(work, reason):
    first, second = story(lambda pool: pool.run([work, fine], timeout_s=0.05, sweep=True))
    assert (first.result if isinstance(first, Done) else first.reason) == reason
    assert second == Done(2)


def test_a_step_that_ignores_its_interruption_is_told_again_and_ends_at_last():
    told = []

    async def stubborn(step):
        while len(told) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told.append(time.monotonic())

    first, second = story(lambda pool: pool.run([stubborn, fine], timeout_s=0.05, sweep=True))
    assert first == Done()
    assert second == Done(2)
    assert told[1] - told[0] > 0.5  # a function that cleans up is not cancelled ten times a second


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), ZeroDivisionError()])
@pytest.mark.parametrize("plain", [False, True])
def test_whatever_a_step_raises_its_consumer_goes_on(error, plain):
    async def raises(step):
        raise error

    def raises_plainly(step):
        raise error

    first, second = story(lambda pool: pool.run([raises_plainly if plain else raises, fine]))
    assert first.reason == type(error).__name__
    assert second == Done(2)


def test_steps_that_never_wait_let_others_have_the_loop():
    async def scenario(pool):
        async def spins(step):
            end = time.monotonic() + 0.002
            while time.monotonic() < end:
                pass

        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        await pool.run([spins] * 100)
        beside.cancel()
        return turns

    assert story(scenario) > 20


def test_a_lost_step_is_interrupted_or_taken_out_of_the_queue_and_others_are_left_alone():
    async def scenario(pool):
        gate = asyncio.Event()

        async def waits(step):
            await gate.wait()

        kind = Kind(name="work", timeout_s=30, run=waits)
        pool.consumers.put(kind, [StepLease(1, 7, 1), StepLease(2, 8, 1), StepLease(3, 7, 1), StepLease(4, 8, 1)])
        await asyncio.sleep(0.01)
        taken = pool.consumers.take_waiting(lambda lease: lease.token == 7)
        pool.consumers.interrupt("lost", lambda lease: lease.token == 7)
        await asyncio.sleep(0.01)
        assert [lease.step_id for _, lease in taken] == [3]
        assert pool.reports == [(1, None)]
        gate.set()
        while len(pool.reports) < 3:
            await asyncio.sleep(0.001)
        return sorted(step for step, _ in pool.reports)

    assert story(scenario, size=2) == [1, 2, 4]


def test_stop_reports_what_it_interrupts_and_leaves_behind_what_does_not_end():
    gate = threading.Event()

    async def scenario(pool):
        async def deaf(step):
            while not gate.is_set():
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    continue

        for step_id, work in ((1, hangs), (2, deaf), (3, lambda step: gate.wait(10))):
            pool.consumers.put(Kind(name="work", timeout_s=30, run=work), [StepLease(step_id, 7, 1)])
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await pool.consumers.stop(0.2)
        took_s = time.monotonic() - began
        gate.set()
        await asyncio.sleep(0.1)
        return took_s, sorted(pool.reports)

    took_s, reports = story(scenario, size=3)
    assert took_s < 5.0  # the deaf one would have taken ten
    assert reports == [(1, None), (3, None)]
