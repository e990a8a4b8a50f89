"""Waking: a notification starts an idle worker at once, and no stream of them makes it hammer the database."""

from __future__ import annotations

import asyncio
import time

import pytest
from test_worker_embedded import Witness, config
from worker_help import eventually_async, submit

from leasehold import Worker
from leasehold.db import session as sessions
from leasehold.worker.rationing import AT_ONCE, PER_S

pytestmark = pytest.mark.one_server
NEVER_S = 600.0


def count_looks(monkeypatch):
    seen = []
    monkeypatch.setattr(
        sessions,
        "fault",
        lambda moment, sql: seen.append(1) if moment == "before" and "Lanes of the given" in sql else None,
    )
    return seen


def test_an_idle_worker_starts_by_the_notification_when_polls_are_rare(database, kernel):
    witness = Witness()

    async def story():
        async with Worker(config(database, witness.kind, poll_max_s=NEVER_S)) as worker:
            await eventually_async(lambda: worker._listener.alive)
            await eventually_async(lambda: worker._claimer.quiet)
            worker._claimer._poll_s = lambda fruitless: NEVER_S
            await asyncio.sleep(0)
            for n in range(5):
                await asyncio.to_thread(submit, kernel, [{}], "work")
                await eventually_async(lambda n=n: worker.counts.ended == n + 1, within_s=10)

    asyncio.run(story())


def test_a_stream_of_announcements_for_others_makes_a_bounded_number_of_looks(database, kernel, monkeypatch):
    """Method: five hundred announcements with no work behind them; what is counted is what reaches the database."""
    witness = Witness()

    async def story():
        async with Worker(config(database, witness.kind, poll_max_s=NEVER_S)) as worker:
            await eventually_async(lambda: worker._listener.alive and worker._claimer.quiet)
            looks, began = count_looks(monkeypatch), time.monotonic()
            for _ in range(500):
                worker._heard()
                await asyncio.sleep(0.001)
            took_s = time.monotonic() - began
            polls = 12  # from a twentieth of a second, doubling
            assert len(looks) <= AT_ONCE + PER_S * took_s + polls
            assert len(looks) >= AT_ONCE  # it does listen

    asyncio.run(story())


def test_a_worker_that_ran_out_of_its_ration_still_starts_at_the_next_announcement_it_can_look_for(database, kernel):
    witness = Witness()

    async def story():
        async with Worker(config(database, witness.kind, poll_max_s=NEVER_S)) as worker:
            await eventually_async(lambda: worker._listener.alive and worker._claimer.quiet)
            for _ in range(100):
                worker._claimer._ration.spend(time.monotonic())
            await asyncio.to_thread(submit, kernel, [{}], "work")
            await eventually_async(lambda: worker.counts.ended == 1, within_s=10)

    asyncio.run(story())


def test_echoes_of_other_listeners_wake_nobody(database, kernel, monkeypatch):
    witness = Witness()

    async def story():
        async with Worker(config(database, witness.kind, poll_max_s=NEVER_S)) as worker:
            await eventually_async(lambda: worker._listener.alive and worker._claimer.quiet)
            heard = []
            monkeypatch.setattr(worker._listener, "_wake", lambda: heard.append(1))
            for n in range(50):
                kernel.session.fetch("select pg_notify('leasehold_ready', %s)", (f"echo {n}",))
            kernel.session.fetch("select pg_notify('leasehold_ready', '')")
            await eventually_async(lambda: heard)
            assert len(heard) == 1

    asyncio.run(story())
