"""Databases: a migrated template for each schema, and a clone of it for each test.

Authoritative: the cluster. A template is named after the checksum of migrations and functions, so two checkouts and two
runs share a server; it is built beside and renamed, so that it is complete or absent. A run owns its clones for as long
as it holds an advisory lock with its number; clones whose run no longer holds one are left-overs and are removed.

Cost: a clone is a copy of 9 MB of files, 20 to 40 ms; `wal_log` would take ten times as long.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from leasehold.db.migrations import migrate, script
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.testing import clock
from leasehold.testing.clusters import Cluster

RUNS, TEMPLATES = 0x4C54, 0x4C55  # classes of advisory locks
KEPT_TEMPLATES = 3


class Databases:
    """Makes clones for one test run. Close it, or leave it to the next run to clean up."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.run = random.SystemRandom().randrange(1, 2**31)
        self._admin: psycopg.Connection[Any] = cluster.connect()
        self._turn = threading.RLock()
        self._numbers = itertools.count(1)
        self._template: str | None = None
        self._execute("select pg_advisory_lock(%s, %s)", RUNS, self.run)
        self.remove_leftovers()

    # -- clones -------------------------------------------------------------------------------------------------------

    def create(self, *, empty: bool = False) -> str:
        """A new database, migrated (or *empty*); its url."""
        name = f"leasehold_test_{self.run}_{next(self._numbers)}"
        template = "template0" if empty else self.template()
        self._execute(f"create database {name} template {template} strategy file_copy")
        return self.cluster.url_of(name)

    def drop(self, url: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        self._execute(f"drop database if exists {name} with (force)")

    @contextmanager
    def clone(self, *, empty: bool = False) -> Iterator[str]:
        url = self.create(empty=empty)
        try:
            yield url
        finally:
            self.drop(url)

    def remove_leftovers(self) -> list[str]:
        """Drop clones of runs that are over; their names."""
        names = [
            row[0] for row in self._execute("select datname from pg_database where datname like 'leasehold\\_test\\_%'")
        ]
        gone = []
        for name in names:
            found = re.fullmatch(r"leasehold_test_(\d+)_\d+", name)
            if found and int(found[1]) != self.run and self._nobody(RUNS, int(found[1])):
                self._execute(f"drop database if exists {name} with (force)")
                gone.append(name)
        return gone

    def remove_own(self) -> None:
        """Drop what this run has left behind; for its end."""
        for (name,) in self._execute(
            "select datname from pg_database where datname like %s", f"leasehold\\_test\\_{self.run}\\_%"
        ):
            self._execute(f"drop database if exists {name} with (force)")

    def close(self) -> None:
        self._admin.close()

    # -- the template -------------------------------------------------------------------------------------------------

    def template(self) -> str:
        """The migrated template's name; made now if this schema has none here. Locked against removal until `close`."""
        with self._turn:
            if self._template is None:
                mark = checksum()
                name = f"leasehold_template_{mark:08x}"
                self._execute("select pg_advisory_lock_shared(%s, %s)", TEMPLATES, _signed(mark))
                self._execute("select pg_advisory_lock(%s, 0)", TEMPLATES)  # one builder at a time
                try:
                    if not self._execute("select from pg_database where datname = %s", name):
                        self._build(name)
                        self._remove_old_templates()
                finally:
                    self._execute("select pg_advisory_unlock(%s, 0)", TEMPLATES)
                self._template = name
            return self._template

    def _build(self, name: str) -> None:
        building = f"leasehold_test_{self.run}_0"
        self._execute(f"create database {building} template template0")
        with Session(Target(url=self.cluster.url_of(building))) as session:
            migrate(session)
            session.run(clock.prepare)
        self._execute(f"alter database {building} rename to {name}")
        self._execute(f"alter database {name} with allow_connections false")  # nor autovacuum: a copy needs it quiet

    def _remove_old_templates(self) -> None:
        rows = self._execute(
            "select datname from pg_database where datname like 'leasehold\\_template\\_%' order by oid"
        )
        for (name,) in rows[:-KEPT_TEMPLATES]:
            if self._nobody(TEMPLATES, _signed(int(name.rpartition("_")[2], 16))):
                self._execute(f"drop database if exists {name}")

    # -- small things -------------------------------------------------------------------------------------------------

    def _nobody(self, lock_class: int, key: int) -> bool:
        free = bool(self._execute("select pg_try_advisory_lock(%s, %s)", lock_class, key)[0][0])
        if free:
            self._execute("select pg_advisory_unlock(%s, %s)", lock_class, key)
        return free

    def _execute(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        with self._turn:
            cursor = self._admin.execute(statement, params or None)
            return cursor.fetchall() if cursor.description is not None else []


def checksum() -> int:
    """32 bits that change with all that makes the schema, and with what the clock adds."""
    return int(hashlib.sha256((script() + clock.CHECKSUM).encode()).hexdigest()[:8], 16)


def _signed(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value
