"""Who may use the claims on a hosted database: the service role, and nobody that comes from outside."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from table_of_thoughts import CLAIMS, ORIGINAL, OUTSIDERS, THOUGHTS, empty

from leasehold.claims import script


@pytest.fixture(params=["superuser", "owner"])
def db(hosted: str, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    with psycopg.connect(hosted, autocommit=True) as made:
        empty(made, request.param)
        made.execute(THOUGHTS)
        made.execute("insert into thoughts (body) values ('one'), ('two')")
        yield made


@pytest.mark.parametrize("before", ["nothing", "the original"])
def test_outsiders_get_no_right_even_with_generous_defaults(db: psycopg.Connection, before: str):
    if before == "the original":
        db.execute(ORIGINAL)
    for _ in range(2):
        db.execute(script.printed(CLAIMS))
    for role in OUTSIDERS:
        readable = db.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relname like 'thought\\_%%' "
            "and relkind in ('r', 'v') and has_table_privilege(%s, oid, 'select, insert, update, delete, truncate')",
            (role,),
        ).fetchall()
        sequences = db.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace "
            "and case when relkind = 'S' then has_sequence_privilege(%s, oid, 'usage, select, update') end", (role,),
        ).fetchall()  # fmt: skip
        callable_ = db.execute(
            "select p.oid::regprocedure::text from pg_proc p where pronamespace = 'public'::regnamespace "
            "and has_function_privilege(%s, p.oid, 'execute')", (role,),
        ).fetchall()  # fmt: skip
        assert (readable, sequences, callable_) == ([], [], []), role


def test_the_service_role_works_without_bypassing_row_security(db: psycopg.Connection):
    db.execute(script.printed(CLAIMS))
    db.execute("reset role; set role service_role")
    assert db.execute("select rolbypassrls from pg_roles where rolname = current_user").fetchone() == (False,)
    claims = db.execute("select id, token from claim_next_thoughts('w', 'a', 2)").fetchall()
    assert len(claims) == 2
    assert db.execute("select count(*) from renew_thought_claims('w', 'a')").fetchone() == (2,)
    assert db.execute("select release_thought(%s, 'w', 'a', 'succeeded', p_token => %s)", claims[0]).fetchone() == (
        True,
    )
    assert db.execute("select release_claims_for_worker('w', 'a')").fetchone() == (1,)
    assert db.execute("select done, waiting from thought_claims_progress").fetchone() == (1, 1)
    assert db.execute("select waiting from thought_claims_remaining('w')").fetchone() == (1,)


def test_an_outsider_is_refused(db: psycopg.Connection):
    db.execute(script.printed(CLAIMS))
    db.execute("reset role; set role anon")
    for call in ("select claim_next_thoughts('w', 'a')", "select * from thought_work_claims",
                 "select * from thought_claims_progress", "select release_claims_for_worker('w', 'a')"):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(call)


def test_every_function_pins_its_search_path_and_runs_as_its_caller(db: psycopg.Connection):
    db.execute(script.printed(CLAIMS))
    loose = db.execute(
        "select p.oid::regprocedure::text from pg_proc p where pronamespace = 'public'::regnamespace "
        "and (prosecdef or not coalesce(proconfig, '{}') && array['search_path=\"\"'])"
    ).fetchall()
    assert loose == []
    assert db.execute("select relrowsecurity from pg_class where relname = 'thought_work_claims'").fetchone() == (True,)
