"""What an ordinary role can do with the kernel: nothing, unless its owner says so; never the clock or the reaper."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from psycopg import errors

FAKE = "create or replace function leasehold.now() returns timestamptz language sql as 'select null::timestamptz'"


@contextmanager
def ordinary(session, *also):
    """A connection whose role is nobody in particular; *also* are grants given to it. Roles belong to the cluster."""
    name = f"ordinary_{session.connection.info.backend_pid}"
    session.fetch(f"create role {name}")
    try:
        for grant in also:
            session.fetch(grant.format(name=name))
        session.fetch(f"grant {name} to current_user")
        session.fetch(f"set role {name}")
        yield session
    finally:
        session.fetch("reset role")
        session.fetch(f"drop owned by {name}")
        session.fetch(f"drop role {name}")


def refused(session, statement):
    with pytest.raises(errors.InsufficientPrivilege):
        session.connection.execute(statement)


def test_an_ordinary_role_can_neither_fake_the_clock_nor_reap(session, kernel, clock):
    with ordinary(session) as role:
        refused(role, "select leasehold.reap('{}', 10)")
        refused(role, FAKE)
        refused(role, "update leasehold_test.clock set at = now()")


def test_a_role_that_may_read_everything_can_still_change_nothing(session, kernel, clock):
    """The common case: a dashboard's role, with usage on the schema and select on its tables."""
    read = ("grant usage on schema leasehold to {name}", "grant select on all tables in schema leasehold to {name}")
    with ordinary(session, *read) as role:
        role.fetch("select * from leasehold.step_state")
        for call in (
            "select leasehold.reap('{}', 10)",
            "select leasehold.end_holder(1, null, null, 'x')",
            "select leasehold.holder_join('sql', 'x', 'x', 1, 60)",
            "select leasehold.group_cancel(1)",
            "select leasehold.now()",
        ):
            refused(role, call)
        refused(role, "update leasehold.holder set expires_at = now()")
        refused(role, "create table leasehold.mine (n int)")
        refused(role, FAKE)


def test_no_function_of_the_schema_is_executable_by_everybody(session):
    open_to_all = session.fetch(
        "select p.proname from pg_proc p where p.pronamespace = 'leasehold'::regnamespace "
        "and has_function_privilege('public', p.oid, 'execute') "
        "and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"
    )
    assert open_to_all == []


def test_a_setting_of_the_session_does_not_move_the_clock(session, clock):
    before = session.fetch("select leasehold.now()")
    for setting in ("leasehold.now", "leasehold.fake_now", "absurd.fake_now"):
        session.fetch(f"set {setting} = '2001-01-01'")
    assert session.fetch("select leasehold.now()") == before
