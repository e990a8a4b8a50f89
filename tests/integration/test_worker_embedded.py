"""A worker in somebody's own program: what is executed, how often, what a stop leaves, and what survives a bad day."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import Counter

import pytest
from worker_help import ended, eventually, eventually_async, submit

from leasehold import Kind, StepLease, Worker, WorkerConfig
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable, UsageError
from leasehold.kernel import breakers, groups, holders
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import LaneRequest, claim
from leasehold.options import LeaseOptions
from leasehold.testing.faults import FaultPlan
from leasehold.types import Done, ErrorClass, Skip, Snooze, StepError

pytestmark = pytest.mark.one_server

CALM = LeaseOptions(ttl_s=60, heartbeat_s=10)
QUICK = LeaseOptions(ttl_s=1.5, heartbeat_s=0.3)


class Witness:
    """A kind that remembers what it ran, and how much of it at once."""

    def __init__(self, name: str = "work", work=None, **options) -> None:
        self.runs: Counter[int] = Counter()
        self.attempts: list[tuple[int, int]] = []
        self.now = self.most = 0
        self._work = work
        self.kind = Kind(name=name, run=self.run, **{"timeout_s": 20, **options})

    async def run(self, step: StepLease):
        self.runs[step.step_id] += 1
        self.attempts.append((step.step_id, step.attempt))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self._work(step) if self._work else await asyncio.sleep(0)
        finally:
            self.now -= 1


def config(url: str, *kinds: Kind, **options) -> WorkerConfig:
    return WorkerConfig(database=url, kinds=kinds, **{"lease": CALM, "poll_max_s": 0.2, **options})


def calm_down(worker: Worker, patience_s: float) -> None:
    """Let a worker's own retries end early, so that a test of what follows need not wait for them."""
    worker._claims.patience_s = worker._finishes.patience_s = patience_s


# -- exactly once -----------------------------------------------------------------------------------------------------


async def drain(url, kernel, kinds, steps, workers=1, **options):
    running = [Worker(config(url, *kinds, **options)) for _ in range(workers)]
    for worker in running:
        await worker.start()
    await eventually_async(lambda: sum(worker.counts.ended for worker in running) >= steps)
    for worker in running:
        await worker.stop(5)
    return running


def test_sixteen_consumers_and_two_thousand_steps_on_two_workers_execute_each_exactly_once(database, kernel):
    witness = Witness(page_max=50, prefetch=50)
    steps = submit(kernel, [{"n": n} for n in range(2000)], "work")
    workers = asyncio.run(drain(database, kernel, [witness.kind], 2000, workers=2, consumers={"*": 16}))
    assert witness.runs == Counter(steps)
    assert all(worker.counts.claimed > 0 for worker in workers)
    assert kernel.counted("lease") == 0
    assert kernel.refused() == 0


def test_each_step_succeeds_exactly_once_though_replies_of_claims_and_finishes_are_lost(database, kernel):
    """Method: faults break every fifth round trip, before, after, or after its commit, through a whole drain."""
    witness = Witness(page_max=20, prefetch=20)
    steps = submit(kernel, [{"n": n} for n in range(400)], "work")
    plan = FaultPlan(5, {"drop_replies": 0.2, "drop": 0.1, "drop_answers": 0.1, "40P01": 0.05}, limit=300)
    with plan.installed():
        asyncio.run(drain(database, kernel, [witness.kind], 400, workers=2, consumers={"*": 8}))
    assert plan.happened["drop_replies"] > 5
    assert witness.runs == Counter(steps)
    assert all(kernel.outcomes(step) == [("succeeded", None)] for step in steps)


def test_a_claim_that_was_never_answered_is_asked_again_under_its_number(database, kernel):
    """Its leases would otherwise be held by nobody as long as the worker lives.

    Method: the claim commits, its reply is lost, and the database stays away for longer than the worker is patient.
    """
    witness = Witness(page_max=50, prefetch=50)
    steps = submit(kernel, [{"n": n} for n in range(40)], "work", wake=False)

    async def story():
        worker = Worker(config(database, witness.kind))
        plan = FaultPlan().at("drop_answers", of="leasehold.claim_with_items(")  # sent alone: it has committed
        for _ in range(6):
            plan.at("drop", of="leasehold.claim_with_items(", n=2)
        await worker.start()
        calm_down(worker, 0.05)
        with plan.installed():
            await eventually_async(lambda: worker.counts.ended == 40)
        assert plan.happened == {"drop_answers": 1, "drop": 6}
        await worker.stop(5)
        return worker

    worker = asyncio.run(story())
    assert witness.runs == Counter(steps)
    assert worker.counts.lost == 0
    assert kernel.counted("lease") == 0


def test_a_claim_that_was_sent_twice_and_brought_nothing_takes_nothing_later(database, kernel):
    """Method: another claim holds the only step, so the worker's is empty; the first sending of it broke. Then that
    first sending arrives, when the step is free again."""
    witness = Witness()
    (step,) = submit(kernel, [{}], "work")
    lane = kernel.lanes("work")[0].lane_id
    number = "select claim_no from leasehold.holder where holder_id = %s"
    with Session(Target(url=database)) as slow:
        slow.connection.execute("begin")
        assert kernel.within(slow.connection).claim("work", by="slow")

        async def story():
            async with Worker(config(database, witness.kind)) as worker:
                await eventually_async(lambda: kernel.session.fetch(number, (worker.holder_id,))[0][0] > 0)
                worker._claimer.stop()
                (used,) = kernel.session.fetch(number, (worker.holder_id,))[0]
                slow.connection.execute("rollback")
                request = LaneRequest(lane, 1, 0, 60.0)
                assert claim(kernel.session, worker.holder_id, used, [request]).leases == ()

        with FaultPlan().at("drop", of="leasehold.claim_with_items(").installed():
            asyncio.run(story())
    assert kernel.state(step) == "ready"


def test_ends_that_could_not_be_recorded_are_recorded_when_the_database_is_back(database, kernel):
    witness = Witness(page_max=5)
    steps = submit(kernel, [{"n": n} for n in range(30)], "work")
    plan = FaultPlan()
    for _ in range(2):
        plan.at("drop", of="leasehold.finish")
        plan.at("drop_answers", of="leasehold.finish")

    async def story():
        async with Worker(config(database, witness.kind)) as worker:
            calm_down(worker, 0.0)
            await eventually_async(lambda: worker.counts.ended == 30)
            return worker

    with plan.installed():
        worker = asyncio.run(story())
    assert plan.happened.total() == 4
    assert witness.runs == Counter(steps)
    assert worker.counts.failed == worker.counts.lost == 0


def outage(url: str, kernel, away: bool) -> None:
    """Nobody can connect to this one database, and who was is thrown out; the tests' own session reconnects after."""
    with Session(Target(url=url.replace(kernel_name(url), "postgres"))) as admin:
        name = kernel_name(url)
        admin.run(lambda c: c.execute(f"alter database {name} allow_connections {'false' if away else 'true'}"))
        if away:
            admin.fetch("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))


def kernel_name(url: str) -> str:
    from psycopg.conninfo import conninfo_to_dict

    return str(conninfo_to_dict(url)["dbname"])


def test_a_worker_goes_on_where_it_was_when_the_database_comes_back(database, kernel):
    """Method: the database throws everybody out in the middle of a drain, and takes nobody in for a while."""
    gate = threading.Event()

    async def work(step):
        while step.item["n"] >= 100 and not gate.is_set():
            await asyncio.sleep(0.01)

    witness = Witness(work=work, page_max=10, prefetch=10)
    steps = submit(kernel, [{"n": n} for n in range(200)], "work")

    async def story():
        async with Worker(config(database, witness.kind, consumers={"*": 8})) as worker:
            await eventually_async(lambda: worker.counts.ended >= 90)
            await asyncio.to_thread(outage, database, kernel, True)
            gate.set()
            await asyncio.to_thread(eventually, lambda: witness.now == 0)
            await asyncio.to_thread(outage, database, kernel, False)
            await eventually_async(lambda: worker.counts.ended == 200)

    asyncio.run(story())
    assert witness.runs == Counter(steps)


# -- pools ------------------------------------------------------------------------------------------------------------


def test_a_pool_of_n_never_runs_more_than_n_and_star_never_takes_a_named_kind(database, kernel):
    async def nap(step):
        await asyncio.sleep(0.005)

    parse, other, third = (Witness(name, nap) for name in ("parse", "other", "third"))
    for name in ("parse", "other", "third"):
        submit(kernel, [{"n": n} for n in range(60)], name)
    kinds = [parse.kind, other.kind, third.kind]
    asyncio.run(drain(database, kernel, kinds, 180, consumers={"parse": 2, "*": 3}))
    assert parse.most == 2
    assert other.most <= 3
    assert third.most <= 3
    assert sum(sum(one.runs.values()) for one in (parse, other, third)) == 180


def test_plain_functions_run_in_as_many_threads_as_their_pool_has_consumers(database, kernel):
    lock, now, most = threading.Lock(), [0], [0]
    gate = threading.Barrier(3, timeout=10)

    def work(step):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        gate.wait()
        with lock:
            now[0] -= 1

    submit(kernel, [{}] * 9, "work")
    asyncio.run(drain(database, kernel, [Kind(name="work", timeout_s=20, run=work)], 9, consumers={"*": 3}))
    assert most[0] == 3


# -- timeouts and interruptions ---------------------------------------------------------------------------------------


def test_a_handler_over_its_timeout_is_interrupted_and_charged_and_its_neighbours_are_not(database, kernel):
    async def work(step):
        if step.item["n"] == 3:
            await asyncio.sleep(60)

    witness = Witness(work=work, timeout_s=0.3)
    steps = submit(kernel, [{"n": n} for n in range(6)], "work", attempts_max=1)
    asyncio.run(drain(database, kernel, [witness.kind], 6))
    assert kernel.outcomes(steps[3]) == [("failed", "timeout")]
    assert all(kernel.outcomes(step) == [("succeeded", None)] for step in steps if step != steps[3])
    assert witness.runs == Counter(steps)


def test_a_plain_function_over_its_timeout_is_recorded_and_keeps_its_slot_until_it_returns(database, kernel):
    gate, running = threading.Event(), []

    def work(step):
        running.append(step.step_id)
        if step.item["n"] == 0:
            gate.wait(20)

    steps = submit(kernel, [{"n": n} for n in range(3)], "work", attempts_max=1)

    async def story():
        async with Worker(config(database, Kind(name="work", timeout_s=0.3, run=work), consumers={"*": 1})) as worker:
            await eventually_async(lambda: worker.counts.failed == 1)
            assert running == steps[:1]  # its time is up, its slot is not free
            gate.set()
            await eventually_async(lambda: worker.counts.ended == 3)

    asyncio.run(story())
    assert kernel.outcomes(steps[0]) == [("failed", "timeout")]


def test_a_blocked_event_loop_keeps_its_leases(database, kernel):
    """For twice the TTL: the heartbeat is a thread's."""

    async def work(step):
        time.sleep(2 * QUICK.ttl_s)

    witness = Witness(work=work)
    (step,) = submit(kernel, [{}], "work")
    with Session(Target(url=database)) as other:

        async def story():
            async with Worker(config(database, witness.kind, lease=QUICK)) as worker:
                reaping = asyncio.to_thread(lambda: [holders.reap(other) for _ in range(40) if not time.sleep(0.1)])
                reaped = await reaping
                await eventually_async(lambda: worker.counts.ended == 1)
                assert not any(reaped)

        asyncio.run(story())
    assert witness.runs == Counter([step])
    assert kernel.refused() == 0


# -- losing the lease -------------------------------------------------------------------------------------------------


def test_a_late_finish_is_refused_and_counted_and_the_worker_joins_anew(database, kernel):
    """Method: the holder is ended while its step runs; the step says how it ended when another lease has it."""
    first_gate, again_gate, began = threading.Event(), threading.Event(), []
    (step,) = submit(kernel, [{}], "work")

    def plain(lease):
        began.append(lease.token)
        (first_gate if len(began) == 1 else again_gate).wait(20)

    async def story():
        async with Worker(config(database, Kind(name="work", timeout_s=30, run=plain), consumers={"*": 2})) as worker:
            await eventually_async(lambda: len(began) == 1)
            first = worker.holder_id
            await asyncio.to_thread(holders.leave, kernel.session, first)
            groups.wake(kernel.session)
            await eventually_async(lambda: len(began) == 2)
            assert worker.holder_id != first
            first_gate.set()
            await eventually_async(lambda: worker.counts.lost == 1)
            assert kernel.state(step) == "leased"
            again_gate.set()
            await eventually_async(lambda: worker.counts.ended == 1)

    asyncio.run(story())
    assert kernel.refused("finish") == 1
    assert kernel.outcomes(step) == [("succeeded", None)]


def test_a_worker_learns_within_one_heartbeat_that_its_lease_was_taken_and_interrupts(database, kernel):
    interrupted = []

    async def work(step):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            interrupted.append(step.step_id)
            raise

    witness = Witness(work=work)
    steps = submit(kernel, [{}, {}], "work")

    async def story():
        async with Worker(config(database, witness.kind, lease=QUICK)):
            await eventually_async(lambda: witness.now == 2)
            group = kernel.group_of(steps[0])
            await asyncio.to_thread(lambda: (kernel.cancel(group), kernel.sweep()))
            await eventually_async(lambda: witness.now == 0, within_s=15)  # its time would be up after 20

    asyncio.run(story())
    assert sorted(interrupted) == steps
    assert {kernel.state(step) for step in steps} == {"cancelled"}


def test_a_single_cancelled_run_is_interrupted_within_a_heartbeat_and_its_neighbours_in_the_lease_are_not(
    database, kernel
):
    """Method: three steps under one lease, two consumers: one run that is working and one that waits are cancelled."""
    interrupted, go_on = [], asyncio.Event()

    async def work(step):
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            interrupted.append(step.step_id)
            raise

    witness = Witness(work=work, page_max=3, prefetch=1)
    steps = submit(kernel, [{}] * 3, "work")

    async def story():
        async with Worker(config(database, witness.kind, lease=QUICK, consumers={"*": 2})):
            await eventually_async(lambda: witness.now == 2)
            assert kernel.counted("lease") == 1
            working, waiting = next(iter(witness.runs)), (set(steps) - set(witness.runs)).pop()
            await asyncio.to_thread(lambda: kernel.cancel_runs(working >> 10, waiting >> 10))
            await eventually_async(lambda: interrupted == [working], within_s=15)  # its time would be up after 20
            go_on.set()
            await eventually_async(lambda: ended(kernel, steps))
            assert witness.runs[waiting] == 0
            return working, waiting

    working, waiting = asyncio.run(story())
    (third,) = set(steps) - {working, waiting}
    assert {step: kernel.state(step) for step in steps} == {
        working: "cancelled", waiting: "cancelled", third: "succeeded",
    }  # fmt: skip
    assert kernel.refused() + kernel.refused("release") == 0
    kernel.check()


def test_a_heartbeat_that_hangs_is_given_up_and_the_next_one_works(database, kernel, second_session):
    """Method: somebody keeps the holder's row locked for several heartbeats."""

    async def story():
        async with Worker(config(database, Witness().kind, lease=LeaseOptions(ttl_s=10, heartbeat_s=0.2))) as worker:
            beats = worker._beats
            locked = second_session.connection
            locked.execute("begin")
            locked.execute("select from leasehold.holder where holder_id = %s for update", (worker.holder_id,))
            held_s = time.monotonic()
            waiting = "select count(*) from pg_stat_activity where application_name = 'leasehold heartbeat'"
            line = beats._beat_line
            await eventually_async(lambda: line.reconnects >= 2)
            assert beats.confirmed_s < held_s + 0.5
            (found,) = kernel.session.fetch(waiting + " and wait_event_type = 'Lock' and datname = current_database()")
            assert found[0] <= 1  # what was given up was cancelled too
            locked.execute("rollback")
            freed_s = time.monotonic()
            await eventually_async(lambda: beats.confirmed_s > freed_s)

    asyncio.run(story())


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_stop_lets_running_steps_finish_and_gives_the_waiting_ones_back_uncharged(database, kernel):
    gate = asyncio.Event()

    async def work(step):
        await gate.wait()

    witness = Witness(work=work, page_max=10, prefetch=10)
    steps = submit(kernel, [{"n": n} for n in range(8)], "work")

    async def story():
        worker = Worker(config(database, witness.kind, consumers={"*": 2}))
        await worker.start()
        await eventually_async(lambda: witness.now == 2 and worker.counts.claimed == 8)
        stopping = asyncio.create_task(worker.stop(10))
        await eventually_async(lambda: worker.counts.released == 6)
        gate.set()
        await stopping
        return worker

    worker = asyncio.run(story())
    assert worker.counts.ended == 2
    assert Counter(kernel.state(step) for step in steps) == {"succeeded": 2, "ready": 6}
    assert {kernel.attempt(step) for step in steps} == {1}
    assert not any(kernel.alone(step) for step in steps if kernel.state(step) == "ready")


@pytest.mark.parametrize("form", ["async, listens", "async, ignores it", "plain"])
def test_stop_with_a_hung_handler_is_in_time_and_charges_nothing(database, kernel, form):
    gate, running = threading.Event(), []

    async def listens(step):
        running.append(step)
        await asyncio.sleep(60)

    async def ignores(step):
        running.append(step)
        while not gate.is_set():
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError:
                continue

    def plain(step):
        running.append(step)
        gate.wait(30)

    handler = {"async, listens": listens, "async, ignores it": ignores, "plain": plain}[form]
    (step,) = submit(kernel, [{}], "work")

    async def story():
        worker = Worker(config(database, Kind(name="work", timeout_s=60, run=handler)))
        await worker.start()
        await eventually_async(lambda: running)
        began = time.monotonic()
        await worker.stop(0.3)
        took_s = time.monotonic() - began
        gate.set()
        return took_s

    assert asyncio.run(story()) < 2.3
    assert kernel.state(step) == "ready"
    assert kernel.attempt(step) == 1
    assert kernel.outcomes(step) == []


def test_stop_without_a_database_is_in_time_all_the_same(database, kernel):
    running = []

    async def work(step):
        running.append(step)
        await asyncio.sleep(60)

    submit(kernel, [{}], "work")

    async def story():
        worker = Worker(config(database, Kind(name="work", timeout_s=60, run=work)))
        await worker.start()
        await eventually_async(lambda: running)
        await asyncio.to_thread(outage, database, kernel, True)
        began = time.monotonic()
        await worker.stop(0.3)
        return time.monotonic() - began

    try:
        assert asyncio.run(story()) < 2.8
    finally:
        outage(database, kernel, False)
    eventually(lambda: kernel.counted("lease") == 1)  # the reaper's, one TTL later


def test_start_twice_and_stop_before_start_are_harmless_and_a_second_stop_waits_for_the_first(database, kernel):
    witness = Witness()
    submit(kernel, [{}] * 5, "work")

    async def story():
        idle = Worker(config(database, witness.kind))
        await idle.stop()
        worker = Worker(config(database, witness.kind))
        await asyncio.gather(worker.start(), worker.start())
        await worker.start()
        await eventually_async(lambda: worker.counts.ended == 5)
        await asyncio.gather(worker.stop(5), worker.stop(5))
        await worker.stop()
        await worker.wait()
        with pytest.raises(UsageError, match="cannot be started again"):
            await worker.start()

    asyncio.run(story())
    assert kernel.counted("holder") == 1


def test_a_second_stop_may_shorten_the_first(database, kernel):
    async def work(step):
        await asyncio.sleep(60)

    witness = Witness(work=work)
    submit(kernel, [{}], "work")

    async def story():
        worker = Worker(config(database, witness.kind))
        await worker.start()
        await eventually_async(lambda: witness.now == 1)
        patient = asyncio.create_task(worker.stop(60))
        await asyncio.sleep(0)
        began = time.monotonic()
        await worker.stop(0)
        await patient
        return time.monotonic() - began

    assert asyncio.run(story()) < 2.0


def test_a_worker_leaves_no_thread_no_task_and_no_connection_behind(database, kernel):
    def page(context, leases):
        for index, _ in enumerate(leases):
            yield index, Done(), 0

    kinds = [Witness().kind, Kind(name="plain", timeout_s=5, run=lambda step: None),
             Kind(name="paged", timeout_s=5, run_page=page)]  # fmt: skip
    for name in ("work", "plain", "paged"):
        submit(kernel, [{}] * 20, name)
    before = set(threading.enumerate())

    async def story():
        tasks = asyncio.all_tasks()
        for _ in range(3):
            async with Worker(config(database, *kinds)) as worker:
                await eventually_async(lambda worker=worker: kernel.counted("ready") == 0 and worker._ledger.empty)
        await eventually_async(lambda: asyncio.all_tasks() == tasks)

    asyncio.run(story())
    eventually(lambda: {thread for thread in threading.enumerate() if "leasehold" in thread.name} <= before)
    connected = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    eventually(lambda: kernel.session.fetch(connected)[0][0] == 0, 5)


def test_several_workers_in_one_program_are_independent_of_each_other(database, kernel):
    one, two = Witness("one"), Witness("two")

    async def story():
        async with Worker(config(database, two.kind)) as second:
            async with Worker(config(database, one.kind)) as first:
                assert first.holder_id != second.holder_id
                submit(kernel, [{}] * 10, "one")
                await eventually_async(lambda: first.counts.ended == 10)
            submit(kernel, [{}] * 10, "two")
            await eventually_async(lambda: second.counts.ended == 10)

    asyncio.run(story())
    assert len(one.runs) == len(two.runs) == 10


def test_a_worker_that_cannot_join_says_so_and_can_be_started_later(database, kernel):
    witness = Witness()
    submit(kernel, [{}], "work")

    async def story():
        worker = Worker(config(database, witness.kind))
        make = worker._make
        worker._make = lambda: (make(), calm_down(worker, 0.1))
        with FaultPlan(chances={"drop": 1.0}).installed(), pytest.raises(DatabaseUnavailable):
            await worker.start()
        await worker.start()
        await eventually_async(lambda: worker.counts.ended == 1)
        await worker.stop(5)

    asyncio.run(story())


def test_what_breaks_a_worker_stops_all_of_it_and_is_raised_to_who_waits(database, kernel):
    """Half a worker would keep alive what nobody works."""
    witness = Witness()

    async def story():
        worker = Worker(config(database, witness.kind))
        await worker.start()
        kernel.session.run(lambda c: c.execute("alter schema leasehold rename to elsewhere"))
        try:
            with pytest.raises(Exception, match="leasehold"):
                await asyncio.wait_for(worker.wait(), 10)
        finally:
            kernel.session.run(lambda c: c.execute("alter schema elsewhere rename to leasehold"))

    asyncio.run(story())


def test_a_worker_lives_in_somebody_elses_program_beside_their_own_tasks(database, kernel):
    """Their tasks run on while steps do, a step may use their objects, and cancelling their task stops the worker."""
    ticks, queue = [], asyncio.Queue()

    async def work(step):
        await queue.put(step.item["n"])

    async def their_clock():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)

    witness = Witness(work=work)

    async def their_service(worker):
        async with worker:
            await asyncio.Event().wait()

    async def story():
        worker = Worker(config(database, witness.kind))
        clock, service = asyncio.create_task(their_clock()), asyncio.create_task(their_service(worker))
        submit(kernel, [{"n": n} for n in range(50)], "work")
        got = [await asyncio.wait_for(queue.get(), 10) for _ in range(50)]
        await eventually_async(lambda: worker.counts.ended == 50)
        service.cancel()
        with pytest.raises(asyncio.CancelledError):
            await service
        clock.cancel()
        return sorted(got)

    assert asyncio.run(story()) == list(range(50))
    assert len(ticks) > 5
    assert kernel.session.fetch("select count(*) from leasehold.holder where ended_at is null") == [(0,)]


# -- hints ------------------------------------------------------------------------------------------------------------


def test_work_starts_at_a_poll_when_every_notification_is_dropped(database, kernel):
    witness = Witness()

    async def story():
        async with Worker(config(database, witness.kind, poll_max_s=0.5)) as worker:
            await eventually_async(lambda: worker._claimer._policy._lanes is not None)
            submit(kernel, [{}], "work", wake=False)
            await eventually_async(lambda: worker.counts.ended == 1)

    asyncio.run(story())


def test_a_step_committed_behind_its_neighbours_is_found_although_the_worker_has_a_hint(database, kernel):
    """Method: another claim holds the first position, and rolls back when the worker has gone past it."""
    witness = Witness(page_max=5)
    group = kernel.group("work")
    kernel.add(group, 1)
    with Session(Target(url=database)) as slow:
        slow.connection.execute("begin")
        assert kernel.within(slow.connection).claim("work", by="slow", n=1)

        async def story():
            async with Worker(config(database, witness.kind)) as worker:
                for _ in range(3):
                    before = worker.counts.ended
                    await asyncio.to_thread(kernel.add, group, 10)
                    await eventually_async(lambda before=before: worker.counts.ended == before + 10)
                    for place in worker._claimer._places.values():  # the hint is of age
                        place.positions = type(place.positions)((at - 5, last) for at, last in place.positions)
                slow.connection.execute("rollback")
                await eventually_async(lambda: worker.counts.ended == 31, within_s=20)  # a scan comes after 30

        asyncio.run(story())
    kernel.seal(group)


# -- alone ------------------------------------------------------------------------------------------------------------


def test_a_step_under_suspicion_runs_alone_and_everything_else_goes_on_after_it(database, kernel):
    steps = submit(kernel, [{"n": n} for n in range(6)], "work")
    lease = kernel.claim("work", by="dead", n=3)
    kernel.bury("dead")
    suspects = [step for step, _ in lease.steps]
    together = []

    async def work(step):
        if step.step_id in suspects:
            together.append(witness.now)
        await asyncio.sleep(0.01)
        if step.step_id in suspects:
            together.append(witness.now)

    witness = Witness(work=work, page_max=10, prefetch=10)
    asyncio.run(drain(database, kernel, [witness.kind], 6, consumers={"*": 4}))
    assert together == [1] * 6
    assert witness.runs == Counter(steps)
    assert {kernel.attempt(step) for step in steps} == {1}


# -- outcomes ---------------------------------------------------------------------------------------------------------


def test_whatever_a_step_returns_or_raises_is_recorded(database, kernel):
    """No value of a step may stop the worker: half surrogates, NUL, endless text, times that are none."""
    odd = "a\x00b\ud800c" + "x" * 5000
    answers = [
        Done(odd), Skip(odd, odd), Snooze(math.nan), Snooze(-5, why=odd), StepError(odd, odd),
        StepError("again", retry_after_s=math.inf, error_class=ErrorClass.TRANSIENT), {"any": "value"}, SystemExit(3),
        asyncio.CancelledError(), KeyError(odd),
    ]  # fmt: skip

    async def work(step):
        answer = answers[step.item["n"]]
        if isinstance(answer, BaseException) and not isinstance(answer, StepError):
            raise answer
        return answer

    witness = Witness(work=work)
    steps = submit(kernel, [{"n": n} for n in range(len(answers))], "work", attempts_max=1)

    async def story():
        async with Worker(config(database, witness.kind)) as worker:
            await eventually_async(lambda: len(witness.runs) == len(answers) and worker._ledger.empty)

    asyncio.run(story())
    states = [kernel.state(step) for step in steps]
    assert states[0] == "succeeded"
    assert states[1] == "cancelled"
    assert states[4:] == ["failed", "failed", "succeeded", "failed", "failed", "failed"]
    assert ended(kernel, steps[4:])


def test_effects_that_one_step_breaks_are_kept_for_all_others(database, kernel):
    """Method: the effects of one of ten fail in the database, and those of another one in Python."""
    kernel.session.run(lambda c: c.execute("create table kept (n integer check (n <> 4))"))

    def effects(connection, pairs):
        for _, outcome in pairs:
            if outcome.result == 7:
                raise ZeroDivisionError("seven")
            connection.execute("insert into kept values (%s)", (outcome.result,))

    async def run(step):
        return Done(step.item["n"])

    steps = submit(kernel, [{"n": n} for n in range(10)], "work")
    kind = Kind(name="work", timeout_s=5, run=run, effects=effects)
    (worker,) = asyncio.run(drain(database, kernel, [kind], 10))
    assert [n for (n,) in kernel.session.fetch("select n from kept order by n")] == [0, 1, 2, 3, 5, 6, 8, 9]
    assert [kernel.state(step) for step in steps].count("failed") == worker.counts.failed == 2


# -- a kind whose breaker is open -------------------------------------------------------------------------------------


def test_workers_try_one_step_of_a_kind_that_is_held_back_and_go_on_when_it_succeeds(database, kernel, clock):
    """A provider is down: the breaker opens after three errors, one of two workers tries one step after the pause, in
    vain, the next probe succeeds, and everything is done. Another kind is worked all the while."""
    down = [True]

    async def call(step: StepLease):
        if down[0]:
            raise StepError("unreachable", "no route", error_class=ErrorClass.TRANSIENT, retry_after_s=0.0)

    calls, others = Witness("call", call), Witness("other")
    group = kernel.group(steps=[WorkflowStep("call", attempts_max=50, breaker_after=3)])
    kernel.add(group, 30)
    kernel.seal(group)
    others_of = submit(kernel, [{}] * 5, "other")

    async def story():
        workers = [Worker(config(database, calls.kind, others.kind, consumers={"*": 1})) for _ in range(2)]
        for worker in workers:
            await worker.start()
        await eventually_async(lambda: breakers.current(kernel.session) and ended(kernel, others_of))
        await eventually_async(lambda: all(worker._ledger.empty for worker in workers))
        before = calls.runs.total()
        clock.advance(5.5)
        await eventually_async(lambda: breakers.current(kernel.session)[0].strikes == 2)
        assert calls.runs.total() == before + 1
        down[0] = False
        clock.advance(10.5)
        await eventually_async(lambda: kernel.group_state(group).succeeded == 30)
        for worker in workers:
            await worker.stop(5)

    asyncio.run(story())
    assert breakers.current(kernel.session) == []
    kernel.check()
