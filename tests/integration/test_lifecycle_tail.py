"""The tail: observers of a worker's bus hear what happens in its database, in the order of each run."""

from __future__ import annotations

import asyncio
import threading

import pytest
from worker_help import eventually_async

from leasehold import Done, Kind, LifecycleBus, Worker, WorkerConfig
from leasehold.db.target import Target
from leasehold.kernel import events, groups
from leasehold.testing.races import Race
from leasehold.worker import tail
from leasehold.worker.tail import Tail

pytestmark = pytest.mark.one_server


@pytest.fixture
def heard():
    bus = LifecycleBus()
    found = []
    bus.subscribe(found.append)
    bus.found = found
    yield bus
    bus.close(0.0)


def names(bus, close_s=30.0):
    bus.close(close_s)
    return [(one.name, one.run_id) for one in bus.found]


@pytest.mark.anyio
async def test_a_worker_with_a_bus_tells_its_observers_of_everything_from_start_to_stop(kernel, database):
    """Also of step events that an observer names, and nothing of what was before."""
    before = kernel.add_runs(1, "before")
    bus = LifecycleBus()
    everything, steps = [], []
    bus.subscribe(everything.append)
    bus.subscribe(steps.append, events=["step_start", "step_end"])
    gate = asyncio.Event()

    async def work(step):
        await gate.wait()

    kind = Kind(name="work", timeout_s=60, run=work)
    async with Worker(WorkerConfig(database=database, kinds=[kind], consumers={"*": 3}, poll_max_s=0.1, bus=bus)):
        opened = kernel.group("work", label="a batch")
        await eventually_async(lambda: "group_start" in [one.name for one in everything])
        runs = kernel.add(opened, 3)
        kernel.seal(opened)
        groups.wake(kernel.session)
        gate.set()
        await eventually_async(lambda: kernel.group_state(opened).completed)
    bus.close(30.0)
    assert before[0] not in [one.run_id for one in everything]
    assert {one.group_id for one in everything} == {opened}
    assert {one.label for one in everything} == {"a batch"}
    assert [one.name for one in everything if one.run_id is None] == ["group_start", "group_end"]
    for run in runs:
        told = [one.name for one in everything if one.run_id == run]
        assert told == ["run_start", "step_start", "step_end", "run_end"]
    assert len(steps) == 6
    assert bus.missed == 0


@pytest.mark.anyio
async def test_an_observer_that_stands_still_slows_no_step(kernel, database):
    bus = LifecycleBus()
    go_on = threading.Event()
    one = bus.subscribe(lambda event: go_on.wait(120), queue_max=5)
    kind = Kind(name="work", timeout_s=60, run=lambda step: Done())
    async with Worker(WorkerConfig(database=database, kinds=[kind], poll_max_s=0.1, bus=bus)):
        group = kernel.group("work")
        kernel.add(group, 50)
        kernel.seal(group)
        groups.wake(kernel.session)
        await eventually_async(lambda: kernel.group_state(group).completed)
    assert one.heard == 0
    go_on.set()
    one.close(30.0)
    assert one.heard + one.dropped == 102


def test_an_event_that_becomes_visible_late_is_heard_late(kernel, database, heard):
    """Method: one transaction draws its ids first and commits last."""
    kernel.group("work")  # so that its workflow is known, and nobody waits for who registers it
    following = Tail(Target(url=database), heard)
    following._position = events.last(kernel.session)
    with Race(database) as race:
        race.begin("late")
        late = race.do("late", lambda connection: kernel.within(connection).group("work", label="late"))
        early = kernel.group("work", label="early")
        following.look()
        race.commit("late")
        following.look()
    heard.close(30.0)
    assert [(one.name, one.group_id) for one in heard.found] == [("group_start", early), ("group_start", late)]
    following.stop()


def test_a_tail_that_is_far_behind_goes_on_near_the_end_and_counts_what_it_left_out(
    kernel, database, heard, monkeypatch
):
    monkeypatch.setattr(tail, "PAGE", 10)
    monkeypatch.setattr(tail, "BEHIND_MAX", 50)
    following = Tail(Target(url=database), heard)
    following._position = events.last(kernel.session)
    for _ in range(100):
        kernel.group("work")
    last = events.last(kernel.session)
    while following.look():
        pass
    heard.close(30.0)
    assert [one.event_id for one in heard.found][-1] == last
    assert len(heard.found) + heard.missed == 100
    assert heard.missed > 0
    following.stop()
