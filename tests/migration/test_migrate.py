"""Migrations: applied once whoever comes, refused when they are not ours, and the same by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leasehold.db import migrations
from leasehold.db.migrations import Migration, is_current, known, migrate, require_current, routines_checksum, script
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import SchemaAhead, SchemaBehind, SchemaChanged
from leasehold.kernel import checks
from leasehold.testing import schema

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
