"""leasehold.testing itself: clones, clock, faults and races do what they promise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors

from leasehold.db import session as sessions
from leasehold.db.migrations import is_current
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable, DiskFull, ServerBinariesMissing
from leasehold.testing import clusters, faults
from leasehold.testing.clock import Clock
from leasehold.testing.databases import RUNS, Databases
from leasehold.testing.faults import FaultPlan
from leasehold.testing.races import Race

pytestmark = pytest.mark.one_server


def names_of(databases, run):
    rows = databases._execute("select datname from pg_database where datname like %s", f"leasehold\\_test\\_{run}\\_%")
    return [name for (name,) in rows]


def test_a_clone_is_migrated_and_nobody_elses(databases):
    with databases.clone() as one, databases.clone() as other:
        assert one != other
        with Session(Target(url=one)) as session:
            assert is_current(session)


def test_clones_of_a_run_that_was_killed_are_removed_by_the_next(cluster, databases):
    """A process makes two clones and is killed; a run that still lives keeps its own."""
    with databases.clone() as kept:
        script = (
            "import os, sys\n"
            "from leasehold.testing.clusters import Cluster\n"
            "from leasehold.testing.databases import Databases\n"
            "made = Databases(Cluster('x', sys.argv[1]))\n"
            "made.create(); made.create(empty=True)\n"
            "print(made.run, flush=True)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, cluster.url], capture_output=True, text=True, check=False, timeout=60
        )
        run = int(done.stdout)
        assert len(names_of(databases, run)) == 2
        wait_until_gone(databases, run)

        Databases(cluster).close()

        assert names_of(databases, run) == []
        with psycopg.connect(kept) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def wait_until_gone(databases, run):
    """The server notices a killed client when it next reads from it, which is at once."""
    databases._execute("select pg_advisory_lock(%s, %s), pg_advisory_unlock(%s, %s)", RUNS, run, RUNS, run)


def test_two_runs_at_once_share_the_template_and_not_the_clones(cluster, databases):
    other = Databases(cluster)
    try:
        assert other.template() == databases.template()
        with other.clone() as one, databases.clone() as two:
            assert one != two
    finally:
        other.close()


def test_the_clock_stands_still_moves_for_every_session_and_can_be_released(database, session, second_session):
    clock = Clock(session).hold()
    read = "select leasehold.now()"
    before = second_session.fetch(read)[0][0]
    assert second_session.fetch(read)[0][0] == before
    clock.advance(3600)
    assert second_session.fetch(read)[0][0] == before + timedelta(hours=1)
    clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert second_session.fetch(read)[0][0] == datetime(2030, 1, 1, tzinfo=UTC)
    clock.release()
    assert abs(second_session.fetch(read)[0][0] - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("kind", sorted(set(faults.KINDS) - {"53100", "55P03"} - faults.DEADLY))
@pytest.mark.parametrize("alone", [False, True])
def test_a_session_outlives_every_kind_of_fault(session, kind, alone):
    """A statement alone is its own transaction: whatever comes after it finds it committed."""
    session.fetch("create table t (n int)")
    call = session.single if alone else session.run
    with FaultPlan().at(kind).installed() as plan:
        assert call(lambda c: sessions.execute(c, "insert into t values (1) returning n")) == [(1,)]
    assert plan.happened == {kind: 1}
    twice = kind == "drop_replies" or (alone and faults.KINDS[kind][0] == "after")
    assert session.fetch("select count(*) from t") == [(2 if twice else 1,)]


@pytest.mark.parametrize(("kind", "raised"), [("55P03", errors.LockNotAvailable), ("53100", DiskFull)])
def test_a_lock_timeout_and_a_full_disk_are_raised_at_once_and_the_next_call_works(session, kind, raised):
    with FaultPlan().at(kind).installed(), pytest.raises(raised):
        session.fetch("select 1")
    assert session.fetch("select 1") == [(1,)]


def test_a_lost_connection_is_really_closed(session):
    first = session.connection.info.backend_pid
    with FaultPlan().at("drop").installed():
        session.fetch("select 1")
    assert session.connection.info.backend_pid != first
    assert session.reconnects == 1


def test_faults_that_do_not_stop_become_an_error_that_can_be_understood(database):
    with (
        Session(Target(url=database), patience_s=0.1) as impatient,
        FaultPlan(chances={"drop": 1.0}).installed(),
        pytest.raises(DatabaseUnavailable),
    ):
        impatient.fetch("select 1")


def test_a_plan_is_read_from_the_environment(monkeypatch):
    monkeypatch.setattr(sessions, "fault", None)
    monkeypatch.setenv("LEASEHOLD_FAULTS", "seed=7; drop_replies=0.05;40001=0.02;limit=9")
    plan = faults.install_from_environment()
    assert sessions.fault is plan
    assert (plan.chances, plan.limit) == ({"drop_replies": 0.05, "40001": 0.02}, 9)
    monkeypatch.delenv("LEASEHOLD_FAULTS")
    assert faults.install_from_environment() is None


def test_a_fault_can_be_narrowed_to_statements_and_may_end_the_process(database):
    code = (
        "import sys; from leasehold.db.session import Session; from leasehold.db.target import Target\n"
        "from leasehold.testing import faults\n"
        "faults.install_from_environment()\n"
        "session = Session(Target(url=sys.argv[1]))\n"
        "session.fetch('select 1'); print('lives', flush=True); session.fetch('select 2'); print('outlives')"
    )
    environment = dict(os.environ, LEASEHOLD_FAULTS="kill_after@select 2=1")
    command = [sys.executable, "-c", code, database]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "lives\n")


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="drop_replies"):
        faults.parse("drop_reply=1")


def test_the_same_seed_draws_the_same_faults():
    def drawn(seed):
        plan = FaultPlan(seed, {"drop": 0.3, "40001": 0.2})
        return [plan._drawn("before") for _ in range(50)]

    assert drawn(5) == drawn(5) != drawn(6)


def test_a_race_says_when_the_other_does_not_wait(database):
    with Race(database) as race:
        race.begin("A")
        with pytest.raises(AssertionError, match="did not wait"):
            race.start("A", lambda c: c.execute("select 1").fetchone()).waits()


def test_a_server_that_was_asked_for_and_is_not_there_is_an_error_and_not_a_skip(monkeypatch, tmp_path):
    monkeypatch.delenv("LEASEHOLD_TEST_URL", raising=False)
    monkeypatch.setattr(clusters, "SYSTEM_INSTALLS", tmp_path)
    with pytest.raises(ServerBinariesMissing, match="PostgreSQL 13"):
        clusters.start("13", tmp_path)


def test_servers_are_named_by_option_then_environment(monkeypatch):
    monkeypatch.setenv("LEASEHOLD_TEST_SERVERS", "18,15")
    assert clusters.wanted() == ["18", "15"]
    assert clusters.wanted("15") == ["15"]
    monkeypatch.delenv("LEASEHOLD_TEST_SERVERS")
    assert clusters.wanted() == ["default"]


def test_a_plan_is_safe_for_threads():
    plan = FaultPlan(1, {"drop": 0.5}, limit=10)

    def knock():
        for _ in range(100):
            with suppress(psycopg.OperationalError):
                plan("before", "x")

    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plan.happened.total() == 10
