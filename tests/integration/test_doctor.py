"""What the doctor says of routes and room, on a real server and behind a real PgBouncer; it tells no secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from leasehold.db import routes
from leasehold.db.capacity import ceiling, pool_of
from leasehold.db.session import Session
from leasehold.db.target import DISABLE_DIRECT, Target
from leasehold.doctor import CHECKS, Finding, Subject, Verdict, run, worst
from leasehold.errors import NotFound, TooManySessions
from leasehold.testing.pooler import Pooler
from leasehold.worker import room

pytestmark = pytest.mark.one_server
SECRET = "wordthatmustnotshow"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    routes._known.clear()
    yield
    routes._known.clear()


def examine(target: Target) -> dict[str, Finding]:
    return {one.about: one for one in run(Subject(target=target), CHECKS)}


def test_a_plain_server_is_well(database: str):
    found = examine(Target(url=database))
    assert worst(list(found.values())) is Verdict.OK
    facts = found["direct route"].facts
    assert (facts["mode"], facts["prepared_statements"], facts["degraded"]) == ("server", True, "")
    assert facts["listen_ms"] is not None
    assert found["sessions"].facts["left"] > 0


def test_with_two_routes_each_is_said_with_how_it_is_known(pooler: Pooler):
    found = examine(Target(url=pooler.url, direct_url=pooler.direct_url))
    pooled, direct = found["pooled route"], found["direct route"]
    assert (pooled.facts["mode"], direct.facts["mode"]) == ("pooler in transaction mode", "server")
    assert "answered two connections" in pooled.sentence
    assert direct.facts["origin"] == "database.direct_url"
    assert (pooled.facts["prepared_statements"], direct.facts["prepared_statements"]) == (False, True)
    assert worst(list(found.values())) is Verdict.OK
    assert found["pooled sessions"].facts["pool_size"] == 4


def test_the_pooler_alone_is_a_warning_with_what_is_missing_and_what_to_set(pooler: Pooler):
    found = examine(Target(url=pooler.url))
    direct = found["direct route"]
    assert direct.verdict is Verdict.WARN
    assert "polling instead of LISTEN" in direct.sentence
    assert "LEASEHOLD_DATABASE_DIRECT_URL" in direct.remedy


def test_a_pool_of_one_that_everything_must_pass_is_bad(pooler: Pooler):
    """A scan keeps one transaction open; with one place nothing else would ever get through."""
    pooler.set(default_pool_size=1)
    assert examine(Target(url=pooler.url))["pooled sessions"].verdict is Verdict.BAD


def test_a_pooler_alone_that_waits_long_after_a_failed_login_is_a_warning(pooler: Pooler):
    """PgBouncer's own default of 15 seconds silences every worker behind it; with two routes claims do not care."""
    found = examine(Target(url=pooler.url))["pooled sessions"]
    assert (found.verdict, found.facts["login_retry_s"]) == (Verdict.WARN, 15)
    assert "server_login_retry" in found.remedy
    assert examine(Target(url=pooler.url, direct_url=pooler.direct_url))["pooled sessions"].verdict is Verdict.OK
    pooler.set(server_login_retry=1)
    assert examine(Target(url=pooler.url))["pooled sessions"].verdict is Verdict.OK


def test_the_kill_switch_shows(pooler: Pooler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(DISABLE_DIRECT, "1")
    direct = examine(Target(url=pooler.url, direct_url=pooler.direct_url))["direct route"]
    assert direct.verdict is Verdict.WARN
    assert DISABLE_DIRECT in direct.sentence


def test_a_check_that_fails_itself_is_red_and_keeps_no_other_from_looking(database: str):
    def broken(subject: Subject) -> Iterator[Finding]:
        raise ZeroDivisionError(f"postgresql://me:{SECRET}@h/db")
        yield

    def refused(subject: Subject) -> Iterator[Finding]:
        raise NotFound("there is none")
        yield

    found = run(Subject(target=Target(url=database)), {"broken": broken, "refused": refused, **CHECKS})
    assert [one.verdict for one in found[:2]] == [Verdict.BAD, Verdict.BAD]
    assert found[1].remedy
    assert found[-1].verdict is Verdict.OK
    assert SECRET not in str(found)


# -- room -------------------------------------------------------------------------------------------------------------


def limited(database: str, n: int) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("alter database {} connection limit {}").format(sql.Identifier(name), sql.Literal(n)))


def test_a_start_that_needs_more_sessions_than_are_left_is_refused_before_anything_starts(database: str):
    """With the number that would fit; and one that fits is not refused."""
    limited(database, 20)
    target = Target(url=database)
    with pytest.raises(TooManySessions) as refused:
        room.check(target, room.of_keeper(processes=5, page_consumers=2))
    assert "29 sessions" in refused.value.message
    assert "connection limit" in refused.value.message
    assert "--processes 3" in refused.value.remedy
    room.check(target, room.of_keeper(processes=3, page_consumers=2))


def test_what_others_use_is_not_left(database: str):
    limited(database, 12)
    with Session(Target(url=database)) as session:
        before = ceiling(session).left
        with psycopg.connect(database), psycopg.connect(database):
            assert ceiling(session).left == before - 2


def test_sessions_through_a_pooler_cost_the_server_nothing(pooler: Pooler):
    limited(pooler.direct_url, 20)
    needs = room.of_keeper(processes=5, page_consumers=2)
    two = routes.of(Target(url=pooler.url, direct_url=pooler.direct_url)).found()
    assert needs.on_server(two) == room.KEEPER + 5 * room.DIRECT_EACH
    assert room.check(Target(url=pooler.url), needs) is None


def test_a_pool_that_cannot_do_is_refused_where_everything_must_pass_it(pooler: Pooler):
    """One place, of which a scan would keep one; and fewer clients than there would be."""
    scan = room.of_keeper(processes=2, page_consumers=2, scans=True)
    target = Target(url=pooler.url)
    room.check(target, scan)
    pooler.set(default_pool_size=1)
    with pytest.raises(TooManySessions, match="one place"):
        room.check(target, scan)
    room.check(target, room.of_keeper(processes=2, page_consumers=2))
    pooler.set(default_pool_size=2, max_client_conn=10)
    with pytest.raises(TooManySessions, match="15 connections"):
        room.check(target, scan)


def test_a_pooler_that_tells_nothing_is_none(database: str):
    assert pool_of(database) is None


# -- as commands ------------------------------------------------------------------------------------------------------


def leasehold(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "leasehold", *arguments],
        env={**os.environ, "LEASEHOLD_HOME": str(home), **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_a_command_prints_holds_a_password(pooler: Pooler, tmp_path: Path):
    """Good addresses and bad ones, in every form, with and without --debug: what is printed is searched."""
    good = {
        "LEASEHOLD_DATABASE_URL": pooler.url_of(pooler.direct_url, password=SECRET),
        "LEASEHOLD_DATABASE_DIRECT_URL": psycopg.conninfo.make_conninfo(pooler.direct_url, password=SECRET),
    }
    closed = {"LEASEHOLD_DATABASE_URL": f"postgresql://me:{SECRET}@127.0.0.1:1/shop"}
    bad = {"LEASEHOLD_DATABASE_URL": f"postgresql://me:{SECRET}:x@h/shop"}
    words = {"LEASEHOLD_DATABASE_URL": f"host=127.0.0.1 port=1 password={SECRET} bogus=1"}
    seen = []
    for command in (["doctor"], ["doctor", "--json"], ["config", "show"], ["db", "status"], ["status", "--debug"]):
        seen.append(leasehold(*command, home=tmp_path, **good))
    for command in (["doctor", "--debug"], ["config", "show"]):
        seen += [leasehold(*command, home=tmp_path, **environment) for environment in (bad, words)]
    seen.append(leasehold("db", "status", "--json", "--debug", home=tmp_path, **closed))
    for one in seen:
        assert SECRET not in one.stdout + one.stderr, one.args
    assert seen[0].returncode == 0, seen[0].stdout + seen[0].stderr
    told = json.loads(seen[1].stdout)
    assert (told["outcome"], told["verdict"]) == ("complete", "ok")


def test_status_says_which_route_is_in_use_where_there_is_more_than_one_server(pooler: Pooler, tmp_path: Path):
    two = {"LEASEHOLD_DATABASE_URL": pooler.url, "LEASEHOLD_DATABASE_DIRECT_URL": pooler.direct_url}
    assert "direct route: server, database.direct_url" in leasehold("status", home=tmp_path, **two).stdout
    one = leasehold("status", home=tmp_path, LEASEHOLD_DATABASE_URL=pooler.url).stdout
    assert "DEGRADED: no direct route" in one
    plain = leasehold("status", home=tmp_path, LEASEHOLD_DATABASE_URL=pooler.direct_url)
    assert plain.returncode == 0
    assert "direct route" not in plain.stdout


def test_the_command_exits_1_when_something_is_bad(pooler: Pooler, tmp_path: Path):
    pooler.set(default_pool_size=1)
    done = leasehold("doctor", home=tmp_path, LEASEHOLD_DATABASE_URL=pooler.url)
    assert done.returncode == 1, done.stdout
    assert "bad   pooled sessions" in done.stdout


def test_a_direct_url_without_a_url_is_a_usage_error(tmp_path: Path):
    done = leasehold("config", "show", home=tmp_path, LEASEHOLD_DATABASE_DIRECT_URL="postgresql://me@h/shop")
    assert done.returncode == 0
    done = leasehold("status", home=tmp_path, LEASEHOLD_DATABASE_DIRECT_URL="postgresql://me@h/shop")
    assert done.returncode == 2
    assert "database.url" in done.stderr
