"""Migrations: applied once whoever comes, refused when they are not ours, and the same by hand."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import leasehold
from leasehold import Done, Kind, Worker, WorkerConfig
from leasehold.db import migrations
from leasehold.db.migrations import Migration, is_current, known, migrate, require_current, routines_checksum, script
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.errors import SchemaAhead, SchemaBehind, SchemaChanged
from leasehold.kernel import checks
from leasehold.options import LeaseOptions
from leasehold.testing import schema
from leasehold.testing.races import Race

TAKE_TURN = load("leasehold.db", "migration_lock")

MIGRATE = """
import sys
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
with Session(Target(url=sys.argv[1])) as session:
    session.connection
    print("ready", flush=True)
    sys.stdin.readline()
    print(",".join(migrate(session)))
"""


@pytest.fixture
def empty(empty_database):
    with Session(Target(url=empty_database)) as session:
        yield session


def test_migrations_are_numbered_without_a_gap_or_a_double():
    """Two of one number would be taken for one: who lands second takes the next."""
    assert [migration.number for migration in known()] == list(range(1, len(known()) + 1))


def test_ten_processes_that_migrate_an_empty_database_at_once_apply_everything_once(empty_database, empty):
    commands = [sys.executable, "-c", MIGRATE, empty_database]
    processes = [
        subprocess.Popen(commands, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(10)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    applied = [process.communicate(timeout=60)[0].strip() for process in processes]

    assert [process.returncode for process in processes] == [0] * 10
    assert sorted(applied, key=len)[:9] == [""] * 9
    assert max(applied, key=len).startswith("0001_kernel,")
    assert is_current(empty)
    assert checks.violations(empty) == []


def test_migrating_again_does_nothing(empty):
    assert migrate(empty)[-1] == "functions"
    assert migrate(empty) == []
    require_current(empty)


def test_an_empty_database_is_behind(empty):
    with pytest.raises(SchemaBehind) as behind:
        require_current(empty)
    assert "migrate" in behind.value.remedy


def test_a_newer_database_is_refused_and_left_as_it_is(session):
    session.fetch("insert into leasehold.migration (number, name, checksum) values (9999, 'later', 'x')")
    with pytest.raises(SchemaAhead) as ahead:
        migrate(session)
    assert ahead.value.context["database"] == 9999
    with pytest.raises(SchemaAhead):
        require_current(session)


def test_a_migration_whose_text_has_changed_is_refused(session):
    session.fetch("update leasehold.migration set checksum = 'other' where number = 1")
    with pytest.raises(SchemaChanged) as changed:
        migrate(session)
    assert changed.value.context["migration"] == "0001_kernel"


def test_an_older_program_goes_on_with_a_newer_database_whose_migrations_say_that_it_may(session, monkeypatch):
    """The newer program adds a column and changes functions; the older one finds nothing to do and changes nothing."""
    newest = known()[-1].number
    wider = Migration(
        newest + 1,
        "wider",
        f"-- Works with programs from {newest:04d}\nalter table leasehold.lane add column note text",
    )
    with monkeypatch.context() as newer:
        newer.setattr(migrations, "known", lambda: [*known(), wider])
        newer.setattr(migrations, "routines_checksum", lambda: "newer")
        assert migrate(session) == [f"{newest + 1:04d}_wider", "functions"]
        require_current(session)
    require_current(session)
    assert migrate(session) == []
    assert session.fetch("select checksum from leasehold.migration where number = 0") == [("newer",)]


@pytest.mark.parametrize("says", ["", "-- Works with programs from {ahead:04d}"])
def test_a_program_that_is_older_than_a_migration_allows_is_refused(session, monkeypatch, says):
    newest = known()[-1].number
    later = Migration(newest + 2, "later", says.format(ahead=newest + 1) + "\nselect 1")
    with monkeypatch.context() as newer:
        newer.setattr(migrations, "known", lambda: [*known(), later])
        migrate(session)
    with pytest.raises(SchemaAhead) as ahead:
        require_current(session)
    assert ahead.value.context == {"database": newest + 2, "program": newest}


@pytest.mark.parametrize(("theirs", "replaced"), [("0.2.0/1", False), ("0.10.0/1", False), ("0.0.9/99", True)])
def test_functions_of_a_newer_release_are_not_replaced_and_those_of_an_older_one_are(
    session, monkeypatch, theirs, replaced
):
    monkeypatch.setattr(migrations, "VERSION", "0.1.3")
    session.fetch("update leasehold.migration set checksum = 'theirs', release = %s where number = 0", (theirs,))
    assert migrate(session) == (["functions"] if replaced else [])
    assert is_current(session)
    kept = session.fetch("select checksum = 'theirs' from leasehold.migration where number = 0")
    assert kept == [(not replaced,)]


def test_a_database_from_before_releases_were_recorded_is_brought_up_to_date(session):
    session.fetch("alter table leasehold.migration drop column oldest, drop column release")
    session.fetch("update leasehold.migration set checksum = 'older' where number = 0")
    assert not is_current(session)
    assert migrate(session) == ["functions"]
    require_current(session)


def test_the_version_is_the_packages():
    assert f'version = "{leasehold.__version__}"' in (Path(__file__).parents[2] / "pyproject.toml").read_text()


def test_functions_are_replaced_when_their_set_has_changed(session):
    session.fetch(
        "create or replace function leasehold.now() returns timestamptz language sql as 'select null::timestamptz'"
    )
    session.fetch("update leasehold.migration set checksum = 'older' where number = 0")
    with pytest.raises(SchemaBehind):
        require_current(session)
    assert migrate(session) == ["functions"]
    assert session.fetch("select leasehold.now() is not null") == [(True,)]


def test_a_migration_that_fails_leaves_nothing_behind(empty, monkeypatch):
    broken = [*known(), Migration(9000, "broken", "create table leasehold.half (n int); select 1 / 0")]
    monkeypatch.setattr(migrations, "known", lambda: broken)
    with pytest.raises(Exception, match="division by zero"):
        migrate(empty)
    assert empty.fetch("select to_regnamespace('leasehold')::text") == [(None,)]


def test_a_later_migration_is_applied_to_a_database_that_has_the_earlier_ones(session, monkeypatch):
    more = [*known(), Migration(9000, "more", "create table leasehold.more (n int)")]
    monkeypatch.setattr(migrations, "known", lambda: more)
    assert not is_current(session)
    assert migrate(session) == ["9000_more"]
    assert session.fetch("select number from leasehold.migration where number in (0, 9000) order by 1") == [
        (0,),
        (9000,),
    ]


def test_the_script_applied_by_psql_makes_the_same_schema_as_migrate(database, databases, tmp_path):
    file = tmp_path / "leasehold.sql"
    file.write_text(script(), encoding="utf-8")
    with databases.clone(empty=True) as by_hand:
        command = [schema.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, by_hand]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert schema.dump(by_hand) == schema.dump(database)
        with Session(Target(url=by_hand)) as session:
            require_current(session)
            assert migrate(session) == []


def test_migrations_are_numbered_without_a_gap():
    assert [migration.number for migration in known()] == list(range(1, len(known()) + 1))
    assert len(routines_checksum()) == 64


@pytest.mark.one_server
def test_the_committed_schema_is_what_the_migrations_make(databases, cluster):
    """pg_dump says the same schema in other words on other versions; it is committed as of 18, the first of ours."""
    assert schema.PATH.read_text("utf-8") == schema.current(databases), f"it is stale: run `{schema.COMMAND}`"


def test_a_migration_whose_session_is_ended_on_the_server_leaves_nothing_half_and_is_made_again(empty_database, empty):
    """It is ended while it waits for its turn, which it then takes by itself."""
    with Race(empty_database) as race:
        race.begin("A")
        race.do("A", lambda c: c.execute(TAKE_TURN))
        with (
            Session(Target(url=empty_database), application_name="migrating") as session,
            ThreadPoolExecutor(1) as pool,
        ):
            migrating = pool.submit(migrate, session)
            first = waiting(empty)
            empty.fetch("select pg_terminate_backend(%s)", (first,))
            assert waiting(empty, other_than=first)
            assert empty.fetch("select to_regclass('leasehold.migration')::text") == [(None,)]
            race.rollback("A")
            assert migrating.result(30)[0] == "0001_kernel"
    require_current(empty)
    assert checks.violations(empty) == []


def waiting(session, other_than=0):
    """The session that waits to migrate."""
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        rows = session.fetch(
            "select pid from pg_stat_activity where application_name = 'migrating' and wait_event_type = 'Lock' "
            "and pid <> %s", (other_than,))  # fmt: skip
        if rows:
            return rows[0][0]
    raise AssertionError("nobody waits")


def test_workers_go_on_while_the_tables_they_use_are_widened_and_after_it(session, database, kernel, monkeypatch):
    """Expand under work: a newer program migrates and replaces the functions while an older one's worker works."""
    newest = known()[-1].number
    text = f"-- Works with programs from {newest:04d}\n" + ";".join(
        f"alter table leasehold.{table} add column note text"
        for table in ("lane", "lease", "ready", "delayed", "holder")
    )
    wider = Migration(newest + 1, "wider", text)
    kind = Kind(name="work", timeout_s=30, run=lambda step: Done(), page_max=5)
    steps = [run * 1024 for run in kernel.add_runs(300, "work")]

    async def story():
        config = WorkerConfig(
            database=database, kinds=[kind], lease=LeaseOptions(ttl_s=2, heartbeat_s=0.4), poll_max_s=0.2
        )
        async with Worker(config) as worker:
            await until(lambda: worker.counts.ended > 20)
            with monkeypatch.context() as newer:
                newer.setattr(migrations, "known", lambda: [*known(), wider])
                newer.setattr(migrations, "routines_checksum", lambda: "newer")
                assert await asyncio.to_thread(migrate, session) == [f"{newest + 1:04d}_wider", "functions"]
            await until(lambda: worker.counts.ended == 300)
            more = [run * 1024 for run in kernel.add_runs(50, "work")]
            await until(lambda: worker.counts.ended == 350)
            return more

    steps += asyncio.run(story())
    assert all(kernel.outcomes(step) == [("succeeded", None)] for step in steps)
    require_current(session)


async def until(holds):
    give_up_at = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.01)


def test_events_from_before_there_were_ranges_stay_and_new_ones_follow_them(empty, monkeypatch):
    """Method: the schema as it was before; two events; then the rest of the migrations."""
    before = [one for one in known() if one.number < 15]
    with monkeypatch.context() as older:
        older.setattr(migrations, "known", lambda: before)
        migrate(empty)
    insert = "insert into leasehold.event (name, at) values (%s, now()) returning event_id"
    first, second = (empty.fetch(insert, (name,))[0][0] for name in ("one", "two"))

    assert "0015_history" in migrate(empty)

    third = empty.fetch(insert, ("three",))[0][0]
    assert [row[0] for row in empty.fetch("select event_id from leasehold.event order by 1")] == [first, second, third]
    assert first < second < third
