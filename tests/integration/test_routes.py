"""The two routes on a real server and behind a real PgBouncer in transaction mode: what goes which way."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg
from worker_help import HERE, SHORT, ended, eventually, eventually_async, keeper_config, noted, submit

from leasehold import Kind, Worker, WorkerConfig
from leasehold.db import probing, routes
from leasehold.db.line import Line
from leasehold.db.probing import Mode
from leasehold.db.session import Session, connect
from leasehold.db.target import DISABLE_DIRECT, Target
from leasehold.errors import DatabaseUnavailable, RouteMismatch
from leasehold.testing.databases import Databases
from leasehold.testing.pooler import Pooler
from leasehold.testing.stories import Kernel
from leasehold.types import Done
from leasehold.worker.keeper import Keeper

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Each test finds its routes itself."""
    routes._known.clear()
    yield
    routes._known.clear()


def both(pooler: Pooler, **more: Any) -> Target:
    return Target(url=pooler.url, direct_url=pooler.direct_url, **more)


# -- what stands there ------------------------------------------------------------------------------------------------


def test_a_plain_server_is_seen_as_one(database: str):
    probed = probing.probe(database)
    assert (probed.mode, probed.state_survives) == (Mode.SERVER, True)
    assert probed.listen_ms is not None


@pytest.mark.parametrize(("size", "round_robin"), [(1, 0), (2, 0), (4, 0), (2, 1), (3, 1)])
def test_a_pooler_in_transaction_mode_is_found_by_what_it_does(pooler: Pooler, size: int, round_robin: int):
    """Whatever its pool's size, and whether it hands out the last connection first or goes round."""
    pooler.set(default_pool_size=size, server_round_robin=round_robin)
    with psycopg.connect(pooler.url) as one, psycopg.connect(pooler.url) as two:
        one.execute("select 1")
        if size > 1:
            two.execute("select 1")  # so that the pool has more than one server
    probed = probing.probe(pooler.url)
    assert probed.mode is Mode.TRANSACTION_POOLER, probed.how
    assert probed.listen_ms is None, "nothing of a session was tried there"


def test_a_pooler_in_session_mode_is_found_by_what_it_does(database: str):
    with Pooler(database, pool_mode="session") as pooler:
        probed = probing.probe(pooler.url)
        assert probed.mode is Mode.SESSION_POOLER, probed.how
        found = routes.find(Target(url=pooler.url))
        assert (found.one, found.direct.shared, found.direct.degraded) == (True, False, "")


def test_one_database_is_the_same_on_both_ways_and_another_is_not(pooler: Pooler, databases: Databases):
    here = probing.identity_of(pooler.direct_url)
    assert here.same_as(probing.identity_of(pooler.url))
    with databases.clone() as other:
        assert not here.same_as(probing.identity_of(other))
        with pytest.raises(RouteMismatch):
            Session(Target(url=pooler.url, direct_url=other), route="direct").fetch("select 1")


def test_probing_leaves_nothing_behind_in_the_poolers_sessions(pooler: Pooler):
    pooler.set(default_pool_size=1)
    routes.find(Target(url=pooler.url))
    with psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None) as stranger:
        assert stranger.execute("select count(*) from pg_listening_channels()").fetchone() == (0,)
        assert stranger.execute("select current_setting('leasehold.probe', true)").fetchone()[0] in (None, "")
        assert stranger.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_an_address_that_does_not_answer_is_given_up_in_bounded_time(pooler: Pooler):
    """A pooler that is paused takes the client and answers nothing."""
    pooler.pause()
    began = time.monotonic()
    with pytest.raises(probing.NotUsable):
        probing.identity_of(pooler.url)
    assert time.monotonic() - began < probing.ANSWER_S + probing.CONNECT_S + 2
    pooler.resume()


# -- sessions ---------------------------------------------------------------------------------------------------------


def settings_of(connection: Any) -> list[str]:
    names = ("idle_in_transaction_session_timeout", "statement_timeout")
    return [connection.execute(f"show {name}").fetchone()[0] for name in names]


def test_no_setting_of_ours_reaches_a_stranger_behind_the_pooler(pooler: Pooler):
    """Method: a pool of one. Our sessions and lines work; a stranger then meets the same backend as it was."""
    pooler.set(default_pool_size=1)
    stranger = psycopg.connect(pooler.url, autocommit=True, prepare_threshold=None)
    before = settings_of(stranger)
    target = Target(url=pooler.url)
    with Session(target) as session, Line(target) as line:
        session.fetch("select 1")
        line.fetch("select 1")
        inside = line.run(settings_of)
        assert inside == ["8s", "2min"], "the bounds hold within our own transaction"
    assert settings_of(stranger) == before
    stranger.close()


def test_nothing_is_prepared_behind_the_pooler(pooler: Pooler):
    pooler.set(default_pool_size=1)
    with Session(Target(url=pooler.url)) as session:
        for _ in range(20):
            session.fetch("select %s::int", (1,))
        assert session.fetch("select count(*) from pg_prepared_statements") == [(0,)]


def test_a_plain_server_keeps_its_bounds_and_prepared_statements_for_the_session(database: str):
    with Line(Target(url=database)) as line:
        assert settings_of(line.connection) == ["8s", "2min"]
        for _ in range(20):
            line.fetch("select %s::int", (1,))
        assert line.fetch("select count(*) > 0 from pg_prepared_statements") == [(True,)]


@pytest.mark.parametrize("dual", [True, False])
@pytest.mark.parametrize("switched_off", [True, False])
def test_the_routing_matrix(pooler: Pooler, monkeypatch: pytest.MonkeyPatch, dual: bool, switched_off: bool):
    """Two routes or one, kill switch or not: the direct sessions' connections are the server's own, or the pooler's."""
    if switched_off:
        monkeypatch.setenv(DISABLE_DIRECT, "1")
    target = both(pooler) if dual else Target(url=pooler.url)
    with Session(target) as pooled, Session(target, route="direct") as direct:
        pooled.fetch("select 1")
        direct.fetch("select 1")
        assert through_pooler(pooled, pooler)
        assert through_pooler(direct, pooler) == (switched_off or not dual)
        inside = direct.run(lambda connection: [connection.execute("select 1"), through_pooler(direct, pooler)][1])
        assert inside == (switched_off or not dual), "inside a transaction as outside"


def through_pooler(session: Session, pooler: Pooler) -> bool:
    return session.connection.info.port == pooler.port


def test_a_session_that_was_closed_does_not_connect_on_any_route(pooler: Pooler):
    for name in ("pooled", "direct"):
        session = Session(both(pooler), route=name, patience_s=0.1)
        session.close()
        with pytest.raises(DatabaseUnavailable):
            session.fetch("select 1")
    assert pooler.clients() == 0


def test_a_statement_inside_a_transaction_never_changes_route(pooler: Pooler):
    """A better route was found in the middle of a transaction: it ends where it began."""
    with Session(both(pooler), route="direct") as session:
        pids: list[Any] = []

        def work(connection: Any) -> None:
            pids.append(connection.execute("select pg_backend_pid()").fetchone())
            session._routes.left()
            pids.append(session._connect().execute("select pg_backend_pid()").fetchone())

        session.run(work)
        assert pids[0] == pids[1]
        assert session.fetch("select pg_backend_pid()") != [pids[0]]


def test_an_unreachable_direct_url_is_replaced_aloud_and_taken_again_when_it_answers(
    pooler: Pooler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Method: direct_url is a second pooler in session mode that is down at first; then it comes up."""
    monkeypatch.setattr(routes, "LOOK_AGAIN_S", 0.1)
    with Pooler(pooler.direct_url, pool_mode="session") as way, Session(
        Target(url=pooler.url, direct_url=way.url), route="direct"
    ) as session:  # fmt: skip
        way.stop()
        with caplog.at_level(logging.WARNING, "leasehold.db"):
            session.fetch("select 1")
        assert [one for one in caplog.messages if one.startswith("degraded: ") and "polling" in one]
        assert session.connection.shared
        way.start()
        eventually(lambda: session.fetch("select 1") and not session.connection.shared)
        assert session.connection.info.port == way.port


def test_a_direct_route_that_was_found_is_never_left_for_the_pooled_one(pooler: Pooler):
    """Claims have no silent fallback: while the direct route is away they fail, though the pooler would answer."""
    with Pooler(pooler.direct_url, pool_mode="session") as way:
        target = Target(url=pooler.url, direct_url=way.url)
        with Line(target, route="direct", patience_s=0.3) as claims, Session(target) as other:
            claims.fetch("select 1")
            way.stop()
            with pytest.raises(DatabaseUnavailable):
                claims.fetch("select 1")
            assert other.fetch("select 1") == [(1,)]
            way.start()
            assert claims.fetch("select 1") == [(1,)]


# -- reconnecting -----------------------------------------------------------------------------------------------------


def test_reconnects_of_many_sessions_share_one_attempt(pooler: Pooler):
    """Forty sessions of one process come back together, and a few knocks served them all while nobody answered."""
    target = Target(url=pooler.url)
    door = routes.of(target).door("pooled")
    sessions = [Session(target, patience_s=20) for _ in range(40)]
    pooler.stop()
    with pytest.raises(DatabaseUnavailable):
        Session(target, patience_s=0).fetch("select 1")  # it closes the door
    threads = [threading.Thread(target=session.fetch, args=("select 1",), daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    eventually(lambda: door.knocks >= 4)
    assert door.knocks < 20, "forty sessions have tried at least twice each"
    pooler.start()
    for thread in threads:
        thread.join(20)
    assert not [thread for thread in threads if thread.is_alive()]
    for session in sessions:
        session.close()


def test_a_read_only_server_makes_every_session_of_the_target_connect_anew(database: str):
    """What a failover leaves behind (25006). Method: the database is made read-only, then writable again."""
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    target = Target(url=database)
    with Session(target) as first, Session(target) as second, psycopg.connect(database, autocommit=True) as admin:
        second.fetch("select 1")
        admin.execute(f'alter database "{name}" set default_transaction_read_only = on')
        first.fetch("select 1")
        timer = threading.Timer(
            0.5, lambda: admin.execute(f'alter database "{name}" set default_transaction_read_only = off')
        )
        timer.start()
        before = second.fetch("select pg_backend_pid()")
        first.fetch("create table public.proof (x int)")
        timer.join()
        assert first.reconnects > 0
        assert second.fetch("select pg_backend_pid()") != before
        assert first.fetch("select count(*) from public.proof") == [(0,)]


def test_a_direct_session_does_not_stay_on_a_server_that_takes_no_writes(database: str):
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f'alter database "{name}" set default_transaction_read_only = on')
    with pytest.raises(pg.ReadOnlySqlTransaction):
        connect(Target(url=database), route="direct", application_name="test")
    with connect(Target(url=database), application_name="test") as reading:
        assert reading.execute("select 1").fetchone() == (1,)


# -- workers ----------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_claims_heartbeats_and_the_listener_go_direct_and_ends_are_recorded_through_the_pooler(
    pooler: Pooler, kernel: Kernel
):
    done: list[int] = []
    kind = Kind(name="gentle", timeout_s=30, run=lambda step: done.append(step.step_id) or Done())
    config = WorkerConfig(database=both(pooler), kinds=[kind], lease=SHORT, poll_max_s=0.2)
    async with Worker(config) as worker:
        steps = submit(kernel, [{}] * 5, "gentle")
        await eventually_async(lambda: ended(kernel, steps))
        assert not worker._claims.connection.shared
        assert worker._beats is not None
        assert not worker._beats._beat_line.connection.shared
        assert worker._finishes.connection.shared
        await eventually_async(lambda: worker._listener.alive)
    assert sorted(done) == sorted(steps)


@pytest.mark.anyio
async def test_everything_forced_through_the_pooler_still_works_and_says_what_is_missing(
    pooler: Pooler, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The kill switch: polling instead of LISTEN, nothing lost, one line about it."""
    monkeypatch.setenv(DISABLE_DIRECT, "1")
    pooler.set(server_lifetime=1, default_pool_size=2)
    done: list[int] = []
    kind = Kind(name="gentle", timeout_s=30, run=lambda step: done.append(step.step_id) or Done())
    config = WorkerConfig(database=both(pooler), kinds=[kind], lease=SHORT, poll_max_s=0.2)
    with caplog.at_level(logging.WARNING):
        async with Worker(config) as worker:
            for _ in range(3):
                steps = submit(kernel, [{}] * 20, "gentle", wake=False)
                await eventually_async(lambda steps=steps: ended(kernel, steps))
                pooler.reconnect()
            assert worker._claims.connection.shared
            assert not worker._listener.alive
            assert worker.counts.lost == 0
    assert len(done) == 60
    assert len([one for one in caplog.messages if one.startswith("degraded: ")]) == 1


def direct_sessions(kernel: Kernel) -> dict[str, int]:
    """The children's; behind the pooler there would be as many as its pool has."""
    names = "select application_name, count(*) from pg_stat_activity where datname = current_database()"
    return dict(
        kernel.session.fetch(f"{names} and application_name in ('leasehold claims', 'leasehold listener') group by 1")
    )


def test_children_take_over_what_their_keeper_has_found(
    pooler: Pooler, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They claim on the direct route, and no address with a password stands on any command line."""
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    log, secret = tmp_path / "log", "wordthatmustnotshow"
    target = Target(url=pooler.url_of(pooler.direct_url, password=secret), direct_url=pooler.direct_url)
    keeper = Keeper(replace(keeper_config(pooler.url, processes=2), target=target))
    keeper.start()
    try:
        steps = submit(kernel, [{"log": str(log)}] * 10, "gentle")
        eventually(lambda: ended(kernel, steps))
        wanted = {"leasehold claims": 2, "leasehold listener": 2}
        eventually(lambda: direct_sessions(kernel) == wanted)
        titles = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in keeper.pids()]
        assert titles
        assert not [title for title in titles if secret.encode() in title or b"postgresql://" in title]
    finally:
        keeper.stop(5)
    assert len(noted(log)) == 10
