"""Each thing the doctor looks at: the sick state, made for real, is found with a command that exists; without it, well.

And a check whose query fails is red, whichever query it is.
"""

from __future__ import annotations

import logging
import re
import shlex
import shutil
from collections import namedtuple
from collections.abc import Iterator

import click
import psycopg
import pytest
from click.testing import CliRunner

from leasehold.cli.app import cli
from leasehold.db import session as sessions
from leasehold.db import snapshots
from leasehold.db.session import Session
from leasehold.db.snapshots import Held
from leasehold.db.target import Target
from leasehold.doctor import CHECKS, Finding, Subject, Verdict, checks, run, server, work
from leasehold.kernel import groups, holders, pauses, seats
from leasehold.kernel.hooks import Hook
from leasehold.testing.races import Race
from leasehold.testing.stories import drain
from leasehold.worker import listener
from leasehold.worker import snapshots as watching

pytestmark = pytest.mark.one_server
OK, WARN, BAD = Verdict.OK, Verdict.WARN, Verdict.BAD


@pytest.fixture
def look(database: str) -> Iterator[object]:
    """look(check): what that check finds now. Every command that is printed on the way must exist."""
    found_all: list[Finding] = []

    def of(check: str) -> list[Finding]:
        found = run(Subject(target=Target(url=database)), {check: CHECKS[check]})
        found_all.extend(found)
        return found

    yield of
    for finding in found_all:
        for command in commands(finding.remedy):
            assert exists(command), f"{finding.about}: {command}"


def commands(remedy: str) -> list[str]:
    found = re.findall(r'leasehold(?: (?:"[^"]*"|[^\s"`;,]+))+', remedy)
    return [one.rstrip(".:") for one in found]


def exists(command: str) -> bool:
    """Its own --help knows it, and every option that stands in it."""
    words = shlex.split(command)[1:]
    path = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
    while path:
        done = CliRunner().invoke(cli, [*path, "--help"], standalone_mode=False)
        if done.exception is None and "Usage" in done.output:
            options = [word for word in words if word.startswith("-")]
            return all(option in done.output for option in options)
        path.pop()
    return False


def verdicts(found: list[Finding]) -> list[Verdict]:
    return [one.verdict for one in found]


# -- what all have in common ------------------------------------------------------------------------------------------

OF_SCHEMA = {"migrations", "server"}
OWN_WAY = {"routes", "sessions"}
"""These look with connections of their own; test_doctor shows what they say when those fail."""


def test_every_check_whose_query_fails_is_red(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Method: the server refuses every statement but those by which a session finds our schema current."""
    for check in sorted(set(CHECKS) - OWN_WAY):

        def refuse(moment: str, statement: str, check: str = check) -> None:
            if moment == "before" and (check in OF_SCHEMA or "leasehold.migration" not in statement):
                raise psycopg.errors.UndefinedColumn('column "gone" does not exist')

        monkeypatch.setattr(sessions, "fault", refuse)
        found = run(Subject(target=Target(url=database)), {check: CHECKS[check]})
        assert (found[-1].verdict, "gone" in found[-1].sentence) == (BAD, True), check


def test_a_fresh_database_and_one_without_our_schema_are_well(look, empty_database: str) -> None:
    for check in sorted(set(CHECKS) - OWN_WAY):
        assert set(verdicts(look(check))) == {OK}, check
        empty = run(Subject(target=Target(url=empty_database)), {check: CHECKS[check]})
        assert set(verdicts(empty)) == {OK}, empty


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert exists("leasehold prune --dry-run")
    assert not exists("leasehold prune --wet-run")
    assert not exists("leasehold groan list")
    assert commands('leasehold db shell -c "select 1"; or nothing') == ['leasehold db shell -c "select 1"']
    assert isinstance(cli, click.Group)


# -- the server -------------------------------------------------------------------------------------------------------


def test_a_server_of_another_version_is_a_warning(look, monkeypatch) -> None:
    monkeypatch.setattr(server, "NEWEST", 14)
    assert WARN in verdicts(look("server"))


def test_a_schema_that_is_behind_edited_or_ahead_is_bad(look, session: Session) -> None:
    session.fetch("update leasehold.migration set checksum = 'older' where number = 0")
    (behind,) = look("migrations")
    assert (behind.verdict, behind.remedy) == (BAD, "leasehold db migrate")
    session.fetch("update leasehold.migration set checksum = 'edited' where number = 1")
    (edited,) = look("migrations")
    assert (edited.verdict, "0001_kernel" in edited.sentence) == (BAD, True)
    session.fetch("insert into leasehold.migration (number, name, checksum) values (9999, 'later', 'x')")
    (ahead,) = look("migrations")
    assert (ahead.verdict, "9999" in ahead.sentence) == (BAD, True)


def test_a_clock_that_is_apart_or_was_set_back_is_said(look, kernel, clock) -> None:
    clock.advance(3600)
    assert verdicts(look("clock")) == [WARN]
    kernel.holder("A")
    clock.advance(-600)
    assert verdicts(look("clock")) == [BAD, WARN]
    assert "600 s ahead" in look("clock")[0].sentence


def test_an_old_snapshot_is_found_with_its_session_and_how_to_end_it(look, database, monkeypatch) -> None:
    with Race(database) as race:
        race.begin("dump")
        race.do("dump", lambda connection: connection.execute("set transaction isolation level repeatable read"))
        race.do("dump", lambda connection: connection.execute("select count(*) from leasehold.run_group").fetchall())
        pid = race.connection("dump").info.backend_pid
        assert verdicts(look("snapshots")) == [OK]
        monkeypatch.setattr(server, "OLD_S", 0.0)
        (found,) = look("snapshots")
        assert (found.verdict, found.facts["name"]) == (WARN, str(pid))
        assert "race dump" in found.sentence
        assert "idle in transaction" in found.sentence
        monkeypatch.setattr(server, "VERY_OLD_S", 0.0)
        assert verdicts(look("snapshots")) == [BAD]
        assert f"pg_terminate_backend({pid})" in found.remedy
    assert verdicts(look("snapshots")) == [OK]


def test_the_keepers_log_names_an_old_snapshot_once(session, database, monkeypatch, caplog) -> None:
    monkeypatch.setattr(watching, "OLD_S", 0.0)
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.0)
    watch = watching.SnapshotWatch(session)
    with Race(database) as race, caplog.at_level(logging.WARNING, "leasehold.worker"):
        race.begin("dump")
        race.do("dump", lambda connection: connection.execute("select txid_current()").fetchall())
        pid = race.connection("dump").info.backend_pid
        watch.look(), watch.look()
        said = [one.getMessage() for one in caplog.records]
        assert len([one for one in said if f"session {pid} (race dump" in one]) == 1
        assert f"pg_terminate_backend({pid})" in said[0]
        race.rollback("dump")
    caplog.clear()
    watch.look()
    assert not caplog.records


def test_slots_and_prepared_transactions_are_named_with_their_own_remedies() -> None:
    """Not made for real: they need settings of the server that a test cannot change."""
    slot = Held("replication slot", "standby", "", "", "inactive", "", None, 5_000_000)
    prepared = Held("prepared transaction", "tx 1", "", "ann", "", "", 900.0, 10)
    assert snapshots.too_old([slot, prepared], age_s=300.0, xids=1_000_000) == [slot, prepared]
    assert snapshots.too_old([slot, prepared], age_s=1000.0, xids=10_000_000) == []
    assert "pg_drop_replication_slot('standby')" in slot.remedy
    assert "rollback prepared 'tx 1'" in prepared.remedy
    assert slot.described == "replication slot standby (inactive)"


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(("free", "verdict"), [(500e9, OK), (5e9, WARN), (1e8, BAD)])
def test_a_disk_that_fills_is_said_before_it_is_full(look, monkeypatch, free: float, verdict: Verdict) -> None:
    """A disk cannot be filled for a test; what the system says of it can be changed."""
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1000e9, 0, free))
    found = {one.about: one.verdict for one in look("disk")}
    assert found["data directory"] is verdict
    assert found["database"] is OK


# -- the work ---------------------------------------------------------------------------------------------------------


def test_a_range_without_its_partition_is_bad_one_without_the_next_a_warning(look, kernel) -> None:
    kernel.add(kernel.group("work"), 1)
    assert verdicts(look("partitions")) == [OK]
    kernel.session.fetch("alter table leasehold.checkpoint detach partition leasehold.checkpoint_p1")
    kernel.session.fetch("drop table leasehold.checkpoint_p1")
    (found,) = look("partitions")
    assert (found.verdict, found.facts["table"]) == (WARN, "checkpoint")
    kernel.session.fetch("alter table leasehold.event detach partition leasehold.event_p0")
    kernel.session.fetch("alter table leasehold.event_p0 rename to set_aside")
    assert BAD in verdicts(look("partitions"))
    kernel.session.fetch("alter table leasehold.set_aside rename to event_p0")
    kernel.session.fetch("alter table leasehold.event attach partition leasehold.event_p0 for values from (minvalue) "
                         "to (4194304)")  # fmt: skip


def test_tables_that_a_prune_left_and_ranges_that_pile_up_are_said(look, kernel, monkeypatch) -> None:
    kernel.add(kernel.group("work"), 1)
    kernel.session.fetch("create table leasehold.step_gone7_99 (like leasehold.step)")
    (left,) = look("partitions")
    assert (left.verdict, left.remedy) == (WARN, "leasehold prune")
    kernel.session.fetch("drop table leasehold.step_gone7_99")
    monkeypatch.setattr(work, "RANGES_MANY", 1)
    (many,) = look("partitions")
    assert (many.verdict, many.remedy) == (WARN, "leasehold prune --dry-run")


def test_workers_that_nobody_hears_listen_are_a_warning(look, kernel, database) -> None:
    kernel.holder("A")
    assert verdicts(look("listeners")) == [WARN]
    with sessions.connect(Target(url=database), application_name=listener.NAME) as connection:
        connection.execute("listen leasehold")
        assert verdicts(look("listeners")) == [OK]


def test_work_that_no_worker_knows_is_bad_and_what_is_held_back_a_warning(look, kernel, clock) -> None:
    kernel.add_runs(2, "parse")
    holders.serve(kernel.session, kernel.holder("A", ttl_s=1000), ["embed"])
    assert verdicts(look("work")) == [OK]
    clock.advance(60)
    (starved,) = look("work")
    assert (starved.verdict, starved.facts["word"]) == (BAD, "starved")
    assert "knows this kind" in starved.sentence
    pauses.pause(kernel.session, "kind", "parse", by="ann")
    (blocked,) = look("work")
    assert (blocked.verdict, blocked.facts["word"]) == (WARN, "blocked")
    assert "paused by ann" in blocked.sentence


def test_more_than_is_looked_at_is_said(look, kernel, clock, monkeypatch) -> None:
    monkeypatch.setattr(checks, "EXAMINED_MAX", 2)
    monkeypatch.setattr(work, "EXAMINED_MAX", 2)
    for _ in range(3):
        kernel.group("work")
    clock.advance(3 * 86_400)
    found = look("groups")
    assert len(found) == 2
    assert "looked at the first 2 only" in found[0].sentence


def test_a_group_that_waits_for_its_seal_alone_is_a_warning_after_a_day(look, kernel, clock) -> None:
    group = kernel.group("work", label="nightly")
    kernel.add(group, 1)
    clock.advance(2 * 86_400)
    assert verdicts(look("groups")) == [OK], "it has work left"
    drain(kernel, "work")
    (found,) = look("groups")
    assert (found.verdict, found.remedy) == (WARN, f"leasehold group seal {group}")
    groups.seal(kernel.session, group)
    assert verdicts(look("groups")) == [OK]


def test_a_lease_that_nobody_has_taken_back_is_bad(look, kernel, clock) -> None:
    kernel.add_runs(2)
    kernel.holder("A", ttl_s=1000)
    kernel.claim(deadline_s=50)
    clock.advance(60)
    assert verdicts(look("leases")) == [OK], "a keeper has some seconds to take it back"
    clock.advance(60)
    (late,) = look("leases")
    assert (late.verdict, "past its deadline" in late.sentence) == (BAD, True)
    kernel.expire_leases()
    assert verdicts(look("leases")) == [OK]
    kernel.claim(by="B", deadline_s=100_000)
    clock.advance(100)
    (unheard,) = look("leases")
    assert "not heard any more" in unheard.sentence


def test_a_seat_whose_holder_is_gone_is_a_warning(look, kernel, clock) -> None:
    seats.set_limit(kernel.session, "rag:/index", 1)
    seats.take(kernel.session, kernel.holder("A"), "rag:/index")
    assert verdicts(look("seats")) == [OK]
    clock.advance(100)
    (found,) = look("seats")
    assert (found.verdict, found.remedy) == (WARN, "leasehold lock break rag:/index")


def test_calls_of_hooks_that_have_failed_for_good_are_a_warning(look, kernel) -> None:
    kernel.group("work", hooks=[Hook(name="tell", on=("group_start",), call="m:f", attempts_max=1)])
    assert verdicts(look("hooks")) == [OK]
    kernel.fail(kernel.claim("hook"))
    (found,) = look("hooks")
    assert (found.verdict, found.facts["failed"]) == (WARN, 1)
