"""The proxy of `leasehold.testing`: what it does to connections, as a session sees it."""

from __future__ import annotations

import time

import psycopg
import pytest
from worker_help import eventually

from leasehold.db.line import Line
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable
from leasehold.kernel import groups
from leasehold.testing import Proxy

pytestmark = pytest.mark.one_server


@pytest.fixture
def proxy(database):
    with Proxy(database) as made:
        yield made


@pytest.fixture
def through(proxy):
    with Session(Target(url=proxy.url), application_name="through") as session:
        session.fetch("select 1")
        yield session


def test_a_proxy_left_alone_changes_nothing_large_answers_and_notifications_included(proxy, through, session):
    assert through.fetch("select repeat('x', 3000000)")[0][0] == "x" * 3_000_000
    with psycopg.connect(proxy.url, autocommit=True) as listener:
        listener.execute("listen leasehold_ready")
        groups.wake(session)
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1


def test_a_cut_connection_is_made_again_and_the_statement_sent_again(proxy, through):
    pid = through.fetch("select pg_backend_pid()")
    assert proxy.cut() == 1
    assert through.fetch("select pg_backend_pid()") != pid
    assert through.reconnects == 1


def test_a_lost_reply_is_that_of_a_committed_statement(proxy, through, session):
    session.fetch("create table lost (n int)")
    proxy.lose_replies()
    with psycopg.connect(proxy.url, autocommit=True) as connection:
        proxy.lose_replies()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("insert into lost values (1)")
    assert proxy.lost_replies == 1
    assert session.fetch("select count(*) from lost") == [(1,)]


def test_while_nobody_listens_the_database_is_unavailable_and_after_healing_it_is_not(proxy, through):
    proxy.refuse()
    through.patience_s = 0.2
    with pytest.raises(DatabaseUnavailable):
        through.fetch("select 1")
    proxy.heal()
    through.patience_s = 10.0
    assert through.fetch("select 1") == [(1,)]


def test_a_half_open_connection_hangs_until_the_client_gives_up_and_new_ones_hang_too(proxy):
    with Line(Target(url=proxy.url), patience_s=0.1) as line:
        line.fetch("select 1")
        proxy.swallow()
        import threading

        raised = []

        def call():
            try:
                line.fetch("select 1")
            except DatabaseUnavailable as error:
                raised.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        eventually(lambda: line.busy_since_s)
        assert not raised
        proxy.heal()
        line.give_up()
        thread.join(10)
        assert not thread.is_alive()
        assert line.fetch("select 1") == [(1,)]


def test_what_was_stalled_arrives_when_it_is_healed(proxy, through, session):
    from concurrent.futures import ThreadPoolExecutor

    proxy.stall()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(through.fetch, "select 'late'")
        with pytest.raises(TimeoutError):
            answer.result(0.1)
        proxy.heal()
        assert answer.result(10) == [("late",)]
    assert through.reconnects == 0


def test_latency_and_bandwidth_are_added_to_every_round_trip(proxy, through):
    proxy.latency_s = 0.05
    began = time.monotonic()
    through.fetch("select 1")
    assert time.monotonic() - began >= 0.1
    proxy.heal()
    proxy.bytes_per_s = 200_000
    began = time.monotonic()
    through.fetch("select repeat('x', 100000)")
    assert time.monotonic() - began >= 0.4


def test_notifications_are_dropped_and_everything_else_arrives(proxy, session):
    with psycopg.connect(proxy.url, autocommit=True) as listener:
        listener.execute("listen leasehold_ready")
        proxy.drop_notifies = True
        groups.wake(session)
        assert listener.execute("select 1").fetchone() == (1,)
        eventually(lambda: listener.execute("select 1") and proxy.lost_notifies == 1)
        proxy.drop_notifies = False
        groups.wake(session)
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
