"""Workers and seats: limits hold over all workers, and a seat that is taken away stops its work."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from worker_help import ended, eventually_async

from leasehold import Kind, StepLease, Worker, WorkerConfig
from leasehold.kernel import groups, seats
from leasehold.options import LeaseOptions

pytestmark = pytest.mark.one_server

QUICK = LeaseOptions(ttl_s=2.0, heartbeat_s=0.3)
LOCK = "rag:/data/kb"


class Witness:
    """A kind whose steps wait to be let go; knows how many run at once, in all workers of this process."""

    def __init__(self, name: str = "work", **options) -> None:
        self.runs: Counter[int] = Counter()
        self.attempts: list[int] = []
        self.now = self.most = self.interrupted = 0
        self.go = asyncio.Event()
        self.kind = Kind(name=name, run=self.run, timeout_s=20, **options)

    async def run(self, step: StepLease) -> None:
        self.runs[step.step_id] += 1
        self.attempts.append(step.attempt)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.go.wait()
            await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            self.interrupted += 1
            raise
        finally:
            self.now -= 1


def submit(kernel, n, kind="work", **options):
    group = kernel.group(kind, **options)
    steps = [run * 1024 for run in kernel.add(group, n)]
    kernel.seal(group)
    return steps


async def workers(url, n, *kinds, consumers=8):
    made = [
        Worker(WorkerConfig(database=url, kinds=kinds, lease=QUICK, consumers={"*": consumers}, poll_max_s=0.1))
        for _ in range(n)
    ]
    for worker in made:
        await worker.start()
    return made


async def stop(*started):
    for worker in started:
        await worker.stop(5)


def test_a_kinds_share_holds_over_all_workers(database, kernel):
    """Two workers of eight consumers each, and a share of three: never a fourth, and at a moment three."""
    steps = submit(kernel, 60)
    seats.set_limit(kernel.session, "kind:work", 3)

    async def story():
        witness = Witness(page_max=5, prefetch=5)
        started = await workers(database, 2, witness.kind)
        await eventually_async(lambda: witness.now == 3)
        witness.go.set()
        await eventually_async(lambda: ended(kernel, steps))
        await stop(*started)
        return witness

    witness = asyncio.run(story())
    assert witness.most == 3
    assert witness.runs == Counter(steps)
    assert kernel.refused() == 0


def test_steps_behind_one_lock_never_overlap_whoever_works_them_and_others_go_on(database, kernel):
    locked = submit(kernel, 20, seats={"work": LOCK}) + submit(kernel, 20, seats={"work": "rag:/data//kb/"})
    free = submit(kernel, 40, "free")

    async def story():
        witness, other = Witness(page_max=1), Witness("free")
        witness.go.set(), other.go.set()
        started = await workers(database, 2, witness.kind, other.kind)
        await eventually_async(lambda: ended(kernel, locked + free))
        await stop(*started)
        return witness, other

    witness, other = asyncio.run(story())
    assert witness.most == 1
    assert witness.runs == Counter(locked)
    assert other.runs == Counter(free)


def test_steps_wait_for_a_program_that_has_their_lock_and_go_on_when_it_gives_it_back(database, kernel):
    holder = kernel.holder("vacuum", ttl_s=600)
    seat = seats.take(kernel.session, holder, LOCK)
    steps = submit(kernel, 3, seats={"work": LOCK})
    free = submit(kernel, 3, "free")

    async def story():
        witness, other = Witness(), Witness("free")
        witness.go.set(), other.go.set()
        started = await workers(database, 1, witness.kind, other.kind)
        await eventually_async(lambda: ended(kernel, free))
        assert not witness.runs
        seats.give_back(kernel.session, seat)
        groups.wake(kernel.session)
        await eventually_async(lambda: ended(kernel, steps))
        await stop(*started)

    asyncio.run(story())


def test_a_seat_that_is_broken_stops_its_steps_with_the_next_heartbeat_and_they_are_worked_again_uncharged(
    database, kernel
):
    (step,) = submit(kernel, 1, seats={"work": LOCK})

    async def story():
        witness = Witness()
        started = await workers(database, 1, witness.kind)
        await eventually_async(lambda: witness.now)
        token = seats.taken(kernel.session, LOCK)[0].token
        assert [one.verdict for one in seats.break_(kernel.session, LOCK, by="me", force=True)] == ["broken"]
        await eventually_async(lambda: witness.interrupted == 1)
        witness.go.set()
        await eventually_async(lambda: ended(kernel, [step]))
        await stop(*started)
        return witness, token

    witness, token = asyncio.run(story())
    assert witness.attempts == [1, 1]
    assert kernel.outcomes(step) == [("succeeded", None)]
    assert kernel.session.fetch("select token, steps from leasehold.seat_break") == [(token, 1)]


def test_a_limit_that_is_raised_while_work_runs_counts_at_once(database, kernel):
    submit(kernel, 20)
    seats.set_limit(kernel.session, "kind:work", 1)

    async def story():
        witness = Witness()
        started = await workers(database, 1, witness.kind)
        await eventually_async(lambda: witness.now == 1)
        seats.set_limit(kernel.session, "kind:work", 5)
        await eventually_async(lambda: witness.now == 5)
        witness.go.set()
        await stop(*started)

    asyncio.run(story())
