"""Workers on a bad network: what hangs is given up, what was lost is sent again, and every step has one effect.

The network is `leasehold.testing.Proxy`; the work is that of the fault lab, whose result is known beforehand.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
from known_work import Work, embedded_worker
from worker_help import SHORT, eventually, eventually_async

from leasehold.chaos import workload
from leasehold.db import session as sessions
from leasehold.db.line import Line
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.options import LeaseOptions
from leasehold.testing import Proxy
from leasehold.worker import beats, keeper, worker
from leasehold.worker.keeper import Keeper, KeeperConfig

pytestmark = pytest.mark.one_server


@pytest.fixture
def proxy(database) -> Iterator[Proxy]:
    with Proxy(database) as made:
        yield made


@pytest.fixture
def work(kernel, session) -> Iterator[Work]:
    """Checked when the test has passed; `kernel` checks the invariants after it."""
    made = Work(session)
    yield made
    made.check()


def test_calls_on_connections_that_are_half_open_for_ever_are_given_up_and_sent_again(work, proxy, monkeypatch):
    """The peer answers for TCP and never for the database, and only on the connections there were: so heartbeats, which
    are given up soon, come through, and the leases never lapse."""
    for module, limit in ((worker, "CLAIM_HANGS_S"), (worker, "RECORD_HANGS_S"), (beats, "HANGS_S")):
        monkeypatch.setattr(module, limit, 2.0)

    async def story() -> None:
        async with embedded_worker(proxy.url):
            work.submit()
            await eventually_async(lambda: work.some(5))
            proxy.swallow(new_ones=False)
            await eventually_async(lambda: work.done)

    asyncio.run(story())


def test_a_connection_that_becomes_half_open_while_it_is_made_is_given_up_and_made_again(proxy, monkeypatch):
    """Nobody else could end it: the session does not have it yet."""
    greet, greeted = sessions._greet, []

    def greet_when_it_is_too_late(*args):
        if not greeted:
            proxy.swallow(new_ones=False)
        greeted.append(args)
        return greet(*args)

    monkeypatch.setattr(sessions, "_greet", greet_when_it_is_too_late)
    monkeypatch.setattr(sessions, "GREETING_HANGS_S", 0.5)
    with Session(Target(url=proxy.url), patience_s=60) as session:
        assert session.fetch("select 1") == [(1,)]
    assert len(greeted) == 2


def test_a_keeper_whose_desk_is_half_open_for_ever_buries_and_starts_children_all_the_same(work, proxy, monkeypatch):
    monkeypatch.setattr(keeper, "DESK_HANGS_S", 1.0)
    target = Target(url=proxy.url)
    config = KeeperConfig(target=target, kinds=workload.FACTORY, processes=1, lease=SHORT, poll_max_s=0.2)
    kept = Keeper(config)
    kept.start()
    try:
        first = eventually(kept.pids)[0]
        eventually(lambda: work.session.fetch("select from leasehold.holder where pid = %s", (first,)))
        proxy.swallow(new_ones=False)
        os.kill(first, signal.SIGKILL)
        work.submit(20)
        eventually(lambda: work.done)
    finally:
        kept.stop(5)


@pytest.mark.parametrize("how", ["half open", "stalled", "refused"])
def test_a_worker_cut_off_for_longer_than_its_ttl_goes_on_when_the_network_is_back(work, proxy, how):
    async def story() -> None:
        async with embedded_worker(proxy.url) as made:
            work.submit()
            await eventually_async(lambda: work.some(5))
            holder = made.holder_id
            {"half open": proxy.swallow, "stalled": proxy.stall, "refused": proxy.refuse}[how]()
            expired = "select from leasehold.holder where holder_id = %s and expires_at < leasehold.now()"
            await eventually_async(lambda: work.session.fetch(expired, (holder,)), what="its lease is over")
            proxy.heal()
            await eventually_async(lambda: work.done, what="it goes on")

    asyncio.run(story())


def test_replies_lost_on_the_wire_again_and_again_change_nothing(work, proxy):
    async def story() -> None:
        async with embedded_worker(proxy.url):
            work.submit()
            for n in range(5, 50, 5):
                await eventually_async(lambda n=n: work.some(n))
                proxy.lose_replies()
            await eventually_async(lambda: work.done)

    asyncio.run(story())
    assert proxy.lost_replies > 5


def test_without_any_notification_and_over_a_slow_network_everything_is_done(work, proxy):
    proxy.drop_notifies = True
    proxy.latency_s = 0.01

    async def story() -> None:
        async with embedded_worker(proxy.url):
            work.submit()
            await eventually_async(lambda: work.done)

    asyncio.run(story())


def test_after_an_outage_nobody_alive_is_reaped_not_even_by_a_process_that_has_just_started(work, proxy, database):
    """Two workers are cut off for longer than their TTL; the first to look when that ends is one without a past."""

    lease = LeaseOptions(ttl_s=5.0, heartbeat_s=0.5)  # longer than a slow machine takes to connect again

    async def story() -> None:
        async with embedded_worker(proxy.url, lease=lease) as first, embedded_worker(proxy.url, lease=lease) as second:
            work.submit()
            await eventually_async(lambda: work.some(5))
            holders = (first.holder_id, second.holder_id)
            proxy.refuse()
            await eventually_async(lambda: all(expired(holder) for holder in holders))
            with Line(Target(url=database)) as line:
                newcomer = beats.Duties(line, lease)
                newcomer.tick([])
            proxy.heal()
            await eventually_async(lambda: work.done)

    def expired(holder: int) -> bool:
        query = "select from leasehold.holder where holder_id = %s and expires_at < leasehold.now()"
        return bool(work.session.fetch(query, (holder,)))

    asyncio.run(story())
    assert work.session.fetch("select count(*) from leasehold.holder where end_reason = 'reaped'") == [(0,)]
    charged = "select count(*) from leasehold.outcome where ended = 'error' and reason = 'holder died'"
    assert work.session.fetch(charged) == [(0,)]


def test_a_process_that_has_just_started_reaps_at_once_who_has_been_silent_for_two_ttls(kernel, clock, session):
    kernel.holder("long gone", ttl_s=30)
    kernel.add_runs(1)
    assert kernel.claim("work", by="long gone")
    clock.advance(61)
    beats.Duties(session, LeaseOptions()).tick([])
    assert kernel.heartbeat("long gone") == {}
