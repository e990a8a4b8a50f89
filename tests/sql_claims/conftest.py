"""Fixtures: a user's table on every server, as a superuser and as an ordinary owner, without and with claims."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from table_of_thoughts import CLAIMS, OWNER, THOUGHTS, Table

from leasehold.claims import script


@pytest.fixture(params=["superuser", "owner"])
def bare(request: pytest.FixtureRequest, databases, empty_database: str) -> Iterator[Table]:
    """An empty table without claims."""
    url = empty_database
    if request.param == "owner":
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                f"do $$ begin create role {OWNER};exception when duplicate_object or unique_violation then null; end $$"
            )
            admin.execute(f"grant create, usage on schema public to {OWNER}")
            admin.execute(f"grant pg_read_all_stats to {OWNER}")  # for tests that see a session wait
            admin.execute(
                f"do $$ begin execute format('grant create on database %I to {OWNER}', current_database()); end $$"
            )
        url = make_conninfo(url, options=f"-c role={OWNER}")
    made = Table(url)
    made.rows(THOUGHTS)
    yield made
    made.db.close()


@pytest.fixture
def table(bare: Table) -> Table:
    bare.rows(script.printed(CLAIMS))
    return bare
