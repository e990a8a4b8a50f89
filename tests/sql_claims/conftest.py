"""Fixtures: a user's table on every server, as a superuser and as an ordinary owner, without and with claims.

Roles belong to a whole server, so what needs those of a hosted database runs on a server of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from table_of_thoughts import CLAIMS, OUTSIDERS, OWNER, THOUGHTS, Table

from leasehold.claims import script
from leasehold.db import embedded
from leasehold.testing import clusters
from leasehold.testing.clusters import Cluster


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


@pytest.fixture(scope="session")
def hosted(cluster: Cluster) -> Iterator[str]:
    """A server with the roles of a hosted one, and a database of their owner's."""
    home = Path(clusters.default_home()) / f"roles-{cluster.name}-{os.getpid()}"
    own = clusters.start(cluster.name, home)
    with own.connect() as db:
        for role in (*OUTSIDERS, "service_role", "owner"):
            db.execute(f"do $$ begin create role {role}; exception when duplicate_object then null; end $$")
        db.execute("drop database if exists hosted with (force)")
        db.execute("create database hosted owner owner")
    yield own.url_of("hosted")
    folder = next(home.glob("pg*"))
    embedded.release(folder)
    embedded.stop(folder)
    shutil.rmtree(home, ignore_errors=True)
