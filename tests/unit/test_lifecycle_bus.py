"""The bus: observers hear in order, lose what they have no place for, and stand in nobody's way."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from leasehold.errors import UsageError
from leasehold.types import Event
from leasehold.worker.bus import LifecycleBus

PATIENCE_S = 30.0


def event(n, name="run_end"):
    return Event(event_id=n, name=name, at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def bus():
    made = LifecycleBus()
    yield made
    made.close(0.0)


def test_an_observer_hears_what_it_asked_for_in_order(bus):
    """Plain ones and async ones."""
    plain, waited = [], []

    async def hear(one):
        await asyncio.sleep(0)
        waited.append(one.event_id)

    bus.subscribe(lambda one: plain.append(one.event_id))
    ends = bus.subscribe(hear, events=["run_end"])
    for n in range(100):
        bus.publish(event(n, "run_end" if n % 2 else "run_start"))
    bus.close(PATIENCE_S)
    assert plain == list(range(100))
    assert waited == list(range(1, 100, 2))
    assert (ends.heard, ends.dropped, ends.failed) == (50, 0, 0)


def test_a_slow_observer_keeps_neither_the_publisher_nor_another_observer_waiting(bus):
    """Method: one observer stands still until everything was published and heard by the other one."""
    go_on, heard = threading.Event(), []

    def stands(one):
        assert go_on.wait(PATIENCE_S)

    slow = bus.subscribe(stands, queue_max=10)
    quick = bus.subscribe(lambda one: heard.append(one.event_id), queue_max=2000)
    for n in range(1000):
        bus.publish(event(n))
    quick.close(PATIENCE_S)
    assert heard == list(range(1000))
    assert slow.heard == 0
    assert slow.dropped in (989, 990)  # ten wait, and one may be under way
    go_on.set()
    slow.close(PATIENCE_S)
    assert slow.heard + slow.dropped == 1000


def test_what_is_dropped_is_the_oldest(bus):
    go_on, began, heard = threading.Event(), threading.Event(), []

    def hear(one):
        began.set()
        assert go_on.wait(PATIENCE_S)
        heard.append(one.event_id)

    one = bus.subscribe(hear, queue_max=3)
    bus.publish(event(0))
    assert began.wait(PATIENCE_S)
    for n in range(1, 10):
        bus.publish(event(n))
    go_on.set()
    one.close(PATIENCE_S)
    assert heard == [0, 7, 8, 9]
    assert one.dropped == 6


def test_an_observer_that_raises_is_counted_and_hears_the_next_event(bus, caplog):
    heard = []

    def hear(one):
        if one.event_id % 2:
            raise ValueError("not this one")
        heard.append(one.event_id)

    one = bus.subscribe(hear, name="picky")
    for n in range(6):
        bus.publish(event(n))
    one.close(PATIENCE_S)
    assert heard == [0, 2, 4]
    assert (one.heard, one.failed) == (3, 3)
    assert "observer picky failed at run_end" in caplog.text


def test_a_bus_closes_in_its_time_though_an_observer_hangs(bus):
    hangs, began = threading.Event(), threading.Event()

    def hear(one):
        began.set()
        hangs.wait(PATIENCE_S)

    one = bus.subscribe(hear)
    for n in range(3):
        bus.publish(event(n))
    assert began.wait(PATIENCE_S)
    bus.close(0.0)
    assert one.dropped == 2
    bus.publish(event(3))
    assert bus.subscriptions == ()
    hangs.set()


def test_who_unsubscribes_hears_no_more(bus):
    heard = []
    one = bus.subscribe(lambda one: heard.append(one.event_id))
    bus.unsubscribe(one)
    bus.publish(event(1))
    assert bus.subscriptions == ()
    assert heard == []


def test_a_queue_without_a_place_is_refused(bus):
    with pytest.raises(UsageError, match="queue_max=0"):
        bus.subscribe(print, queue_max=0)
