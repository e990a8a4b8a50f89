"""A pool of sessions: one owner, many borrowers; and what a session sends again, and what never."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from worker_help import eventually

from leasehold.db import session as sessions
from leasehold.db.line import Line
from leasehold.db.pool import Pool
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable

pytestmark = pytest.mark.one_server
PID = "select pg_backend_pid()"


@pytest.fixture
def pool(database: str) -> Any:
    made = Pool(lambda: Line(Target(url=database), patience_s=5), 2)
    yield made
    made.close()


def test_a_borrowers_close_never_closes_the_owners_pool(pool: Pool[Line]):
    with pool.borrow() as kept, pool.borrow() as mine:
        kept.fetch("select 1")
        mine.close()
        assert kept.fetch("select 1") == [(1,)]
    with pool.borrow() as one, pool.borrow() as two:
        assert (one.fetch("select 1"), two.fetch("select 1")) == ([(1,)], [(1,)])


def test_a_borrowers_broken_connection_is_the_next_ones_new_one(pool: Pool[Line]):
    with pool.borrow() as mine:
        mine.fetch("select 1")
        mine.connection.close()
    with pool.borrow() as same:
        assert same is mine
        assert same.fetch("select 1") == [(1,)]


def test_never_more_than_its_size_are_out_and_who_comes_then_waits(pool: Pool[Line]):
    got: list[Line] = []

    def come() -> None:
        with pool.borrow() as third:
            got.append(third)

    with pool.borrow() as one:
        with pool.borrow():
            assert len(pool.borrowed) == 2
            thread = threading.Thread(target=come)
            thread.start()
            assert got == []
        thread.join(20)
    assert len(got) == 1
    assert got[0] is not one


def test_the_owners_close_ends_what_is_out_and_what_waits(database: str):
    pool = Pool(lambda: Line(Target(url=database), patience_s=5), 1)
    ended: list[str] = []

    def sleep() -> None:
        with pool.borrow() as line:
            try:
                line.fetch("select pg_sleep(60)")
            except DatabaseUnavailable:
                ended.append("out")

    def wait() -> None:
        with pool.borrow() as line:
            try:
                line.fetch("select 1")
            except DatabaseUnavailable:
                ended.append("waiting")

    first = threading.Thread(target=sleep)
    first.start()
    eventually(lambda: pool.borrowed and pool.borrowed[0].busy_since_s)
    second = threading.Thread(target=wait)
    second.start()
    pool.close()
    first.join(20)
    second.join(20)
    assert sorted(ended) == ["out", "waiting"]


# -- what is sent again -----------------------------------------------------------------------------------------------


def failing(made: Callable[[], Exception], times: int = 1) -> tuple[Callable[[Any], Any], list[int]]:
    """Work that fails so often, then answers; and how often it was called."""
    calls: list[int] = []

    def work(connection: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise made()
        return connection.execute("select 1").fetchone()[0]

    return work, calls


@pytest.mark.parametrize(
    "made",
    [
        lambda: psycopg.OperationalError("connection failed: FATAL:  no more connections allowed (max_client_conn)"),
        lambda: pg.ProtocolViolation("query_wait_timeout"),
        lambda: pg.ProtocolViolation("server login has been failing, try again later (server_login_retry)"),
        lambda: pg.InternalError_("MaxClientsInSessionMode: max clients reached - in Session mode max clients are 15"),
        lambda: pg.InternalError_("(EMAXCONNSESSION) max clients reached in session mode"),
        lambda: pg.InternalError_("Unable to check out process from the pool due to timeout"),
        lambda: pg.TooManyConnections("sorry, too many clients already"),
        lambda: pg.AdminShutdown("terminating connection due to administrator command"),
        lambda: pg.CannotConnectNow("the database system is starting up"),
        lambda: pg.SerializationFailure("could not serialize access"),
        lambda: pg.DeadlockDetected("deadlock detected"),
        lambda: pg.IdleInTransactionSessionTimeout("terminating connection due to idle-in-transaction timeout"),
    ],
)
def test_connection_failures_and_full_poolers_are_tried_again(session: Session, made: Callable[[], Exception]):
    work, calls = failing(made, times=2)
    assert session.run(work) == 1
    assert len(calls) == 3


@pytest.mark.parametrize(
    "made",
    [
        lambda: pg.QueryCanceled("canceling statement due to statement timeout"),
        lambda: pg.LockNotAvailable("canceling statement due to lock timeout"),
        lambda: pg.ProtocolViolation("query_timeout"),
        lambda: pg.UniqueViolation("duplicate key value violates unique constraint"),
        lambda: pg.CheckViolation("new row violates check constraint"),
        lambda: pg.InternalError_("XX000: something else broke"),
        lambda: pg.UndefinedTable("relation does not exist"),
    ],
)
def test_timeouts_of_statements_and_locks_and_broken_constraints_are_raised_at_once(
    session: Session, made: Callable[[], Exception]
):
    work, calls = failing(made)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever it becomes
        session.run(work)
    assert len(calls) == 1
    assert session.fetch("select 1") == [(1,)], "and the session is as good as before"


@pytest.mark.parametrize(
    ("wrong", "says"), [({"user": "nobody_at_all"}, "role"), ({"dbname": "not_there"}, "database")]
)
def test_a_server_that_does_not_let_us_in_is_asked_once(database: str, monkeypatch, wrong: dict[str, str], says: str):
    opened: list[str] = []
    really = sessions._open
    monkeypatch.setattr(sessions, "_open", lambda *args: opened.append("once") or really(*args))
    with (
        Session(Target(url=psycopg.conninfo.make_conninfo(database, **wrong))) as stranger,
        pytest.raises(DatabaseUnavailable, match=f'{says} "[a-z_]*" does not exist'),
    ):
        stranger.fetch("select 1")
    assert opened == ["once"]


def test_a_session_that_has_been_in_before_goes_on_trying_when_it_is_turned_away(database: str, session: Session):
    with Session(Target(url=database), patience_s=30) as regular:
        assert regular.fetch("select 1") == [(1,)]
        work, calls = failing(lambda: psycopg.OperationalError('FATAL:  role "leasehold" does not exist'), times=2)
        assert regular.run(work) == 1
        assert len(calls) == 3


def test_what_a_session_has_given_up_is_not_tried_again_by_another_around_it(database: str):
    """No double retry when engine and caller both wrap."""
    with Session(Target(url=database)) as outer, Session(Target(url=database), patience_s=0.1) as inner:
        work, calls = failing(lambda: psycopg.OperationalError("fault"), times=10**6)
        attempts: list[int] = []

        def wrapped(connection: Any) -> Any:
            attempts.append(1)
            return inner.run(work)

        with pytest.raises(DatabaseUnavailable):
            outer.run(wrapped)
        assert len(attempts) == 1
        assert 1 < len(calls) < 20


def test_a_call_that_is_given_up_is_cancelled_on_the_server_and_the_next_one_works(database: str, session: Session):
    """A timeout without a cancellation would leave the server session at work: counted there."""
    with Line(Target(url=database), application_name="hangs", patience_s=0) as line:
        failed: list[Exception] = []

        def hang() -> None:
            try:
                line.fetch("select pg_sleep(60)")
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=hang)
        thread.start()
        sleeping = (
            "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'hangs'"
            " and state = 'active'"
        )
        eventually(lambda: session.fetch(sleeping) == [(1,)])
        line.give_up()
        thread.join(20)
        assert failed
        eventually(lambda: session.fetch(sleeping) == [(0,)])
        line.patience_s = 5.0  # its connection was cut, which the next call finds out
        assert line.fetch("select 1") == [(1,)]
