"""What a real pooler in transaction mode does to its clients: what it moves, what it loses without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import psycopg
import pytest

from leasehold.errors import ServerBinariesMissing
from leasehold.testing import pooler as poolers
from leasehold.testing.pooler import Pooler

PATIENCE_S = 20.0
PID = "select pg_backend_pid()"


def connect(url: str, **more: object) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, **{"prepare_threshold": None} | more)


def one(client: psycopg.Connection, statement: str = PID) -> object:
    return client.execute(statement).fetchone()[0]


def until(question: Callable[[], object]) -> None:
    """Ask until the answer is yes."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not question():
        assert time.monotonic() < give_up_at, "it did not come to be"
        time.sleep(0.01)


@pytest.mark.one_server
def test_clients_share_the_servers_connections_by_transactions(pooler: Pooler):
    """Method: five clients and a pool of one. All meet the same backend, and each has it for a whole transaction."""
    pooler.set(default_pool_size=1)
    clients = [connect(pooler.url) for _ in range(5)]
    assert len({one(client) for client in clients}) == 1
    assert (pooler.clients(), pooler.servers()) == (5, 1)
    with clients[0].transaction():
        one(clients[0])
        assert pooler.console("SHOW POOLS")[0]["sv_active"] == 1
    assert one(clients[1])
    for client in clients:
        client.close()


@pytest.mark.one_server
def test_the_backend_of_an_idle_client_changes_and_no_error_says_so(pooler: Pooler):
    """Both by RECONNECT and by a lifetime of one second."""
    with connect(pooler.url) as client:
        first = one(client)
        pooler.reconnect()
        second = one(client)
        assert first != second
        pooler.set(server_lifetime=1)
        until(lambda: one(client) != second)


@pytest.mark.one_server
def test_a_listen_is_lost_without_a_word(pooler: Pooler):
    """Method: the notice is known to be out once a direct listener has it."""
    with connect(pooler.url) as pooled, connect(pooler.direct_url) as direct:
        pooled.execute("listen news")
        direct.execute("listen news")
        pooler.reconnect()
        until(lambda: pooler.servers() == 0)
        direct.execute("notify news")
        assert [notice.channel for notice in direct.notifies(timeout=PATIENCE_S, stop_after=1)] == ["news"]
        one(pooled)
        assert list(pooled.notifies(timeout=0)) == []


@pytest.mark.one_server
def test_statements_that_are_prepared_by_themselves_break(pooler: Pooler):
    """The driver prepares what it has seen five times, under names that clients of one backend share."""
    pooler.set(default_pool_size=1, **({"max_prepared_statements": 0} if pooler.version >= (1, 21) else {}))
    broken = (psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName)
    with connect(pooler.url, prepare_threshold=5) as a, connect(pooler.url, prepare_threshold=5) as b:
        for _ in range(5):
            one(a)
            one(b)
        one(a)
        with pytest.raises(broken):
            one(b)


@pytest.mark.one_server
def test_a_session_lock_is_held_by_everybody_at_once(pooler: Pooler):
    pooler.set(default_pool_size=1)
    with connect(pooler.url) as a, connect(pooler.url) as b:
        assert [one(client, "select pg_try_advisory_lock(7)") for client in (a, b)] == [True, True]


@pytest.mark.one_server
def test_a_setting_of_the_connection_string_is_refused(pooler: Pooler):
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        connect(pooler.url_of(pooler.direct_url, options="-c jit=off"))


@pytest.mark.one_server
def test_a_client_that_waits_too_long_for_a_full_pool_is_thrown_out(pooler: Pooler):
    pooler.set(default_pool_size=1, query_wait_timeout=1)
    with connect(pooler.url) as holder, connect(pooler.url) as late, holder.transaction():
        one(holder)
        with pytest.raises(psycopg.OperationalError, match="query_wait_timeout"):
            one(late)


@pytest.mark.one_server
def test_a_paused_pooler_lets_clients_wait_and_a_killed_one_throws_them_out(pooler: Pooler):
    with connect(pooler.url) as client:
        one(client)
        pooler.pause()
        assert pooler.servers() == 0
        pooler.resume()
        assert one(client)
        pooler.kill()
        with pytest.raises(psycopg.OperationalError):
            one(client)
    pooler.resume()
    with connect(pooler.url) as client:
        assert one(client)


@pytest.mark.one_server
def test_a_restarted_pooler_is_found_under_its_address(pooler: Pooler):
    with connect(pooler.url) as client:
        pooler.restart()
        with pytest.raises(psycopg.OperationalError):
            one(client)
    pooler.stop()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(pooler.url)
    pooler.start()
    with connect(pooler.url) as client:
        assert one(client)


def test_every_server_and_role_can_be_reached_through_it(database: str):
    with connect(database) as direct:
        direct.execute("do $$ begin create role pooler_guest login; exception when duplicate_object then null; end $$")
    with Pooler(database, roles=("pooler_guest",)) as pooler:
        guest = pooler.url_of(database, user="pooler_guest")
        with connect(pooler.url) as own, connect(guest) as other:
            assert one(own, "select current_database()") == one(other, "select current_database()")
            assert one(other, "select current_user") == "pooler_guest"


@pytest.mark.one_server
def test_it_does_not_outlive_a_test_process_that_is_killed(database: str):
    """Method: another process starts one and kills itself; its port is then free of listeners."""
    script = f"""
        import os, signal
        from leasehold.testing.pooler import Pooler
        print(Pooler({database!r}).start().url, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    made = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, env=os.environ, check=False
    )
    assert made.returncode == -signal.SIGKILL, made.stderr

    def gone() -> bool:
        try:
            connect(made.stdout.strip()).close()
        except psycopg.OperationalError:
            return True
        return False

    until(gone)


def test_a_pooler_that_is_not_installed_is_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(poolers.SETTING, "/nowhere/pgbouncer")
    with pytest.raises(ServerBinariesMissing, match="make servers"):
        poolers.find_program()
