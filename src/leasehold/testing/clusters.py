"""Clusters: the PostgreSQL server that tests run on.

LEASEHOLD_TEST_URL names one; without it an embedded server runs in a home for tests, one for each major version. A
server is named by its major version ("18", "15") or "default", the one that the embedded binaries have. It stops by
itself when the last test process has gone.

The home is LEASEHOLD_TEST_HOME, else in memory (/dev/shm) where there is plenty of it, else `.test/`. A clone is a
thousand small files: 14 ms in memory, and 35 to 400 ms on a disk that others use.

Not durable: our own test servers run with fsync off. Tests kill processes, never the power.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from leasehold.db import embedded
from leasehold.db.binaries import SETTING, SYSTEM_INSTALLS, find_binaries
from leasehold.errors import ServerBinariesMissing

URL = "LEASEHOLD_TEST_URL"
HOME = "LEASEHOLD_TEST_HOME"
SERVERS = "LEASEHOLD_TEST_SERVERS"
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "'256MB'",
    "min_wal_size": "'64MB'",
}
MEMORY = Path("/dev/shm")
MEMORY_FREE_MIN = 3_000_000_000


@dataclass(frozen=True)
class Cluster:
    """A running server. `url` leads to a database where nothing is kept, and to a role that may create others."""

    name: str
    url: str

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url, autocommit=True, application_name="leasehold testing")

    def url_of(self, database: str) -> str:
        return make_conninfo(self.url, dbname=database)


def wanted(option: str | None = None) -> list[str]:
    """The servers to test on: *option* (`--servers=18,15`), else LEASEHOLD_TEST_SERVERS, else the default one."""
    names = option or os.environ.get(SERVERS) or "default"
    return [name.strip() for name in names.split(",") if name.strip()]


def start(name: str = "default", home: Path | None = None) -> Cluster:
    """The cluster of that name, started if need be.

    Raises:
        ServerBinariesMissing: there is no server of this version here. Never skipped: green on fewer is not green.
    """
    given = os.environ.get(f"{URL}_{name}") or (os.environ.get(URL) if name == "default" else None)
    if given:
        return Cluster(name, given)
    home = home or default_home()
    setting = os.environ.get(SETTING)
    bin_dir = _bin_dir(name)
    major = find_binaries(bin_dir).major
    try:
        if bin_dir is not None:
            os.environ[SETTING] = str(bin_dir)
        server = embedded.ensure(home / f"pg{major}", idle_grace_s=120)
    finally:
        os.environ.pop(SETTING, None)
        if setting is not None:
            os.environ[SETTING] = setting
    cluster = Cluster(str(major), server.url)
    with cluster.connect() as connection:
        if connection.execute("show fsync").fetchone() != ("off",):
            for parameter, value in FAST.items():
                connection.execute(f"alter system set {parameter} = {value}")
            connection.execute("select pg_reload_conf()")
    return cluster


def default_home(fallback: Path = Path(".test")) -> Path:
    """Where test servers live: as set, in memory, or on disk. One for each user and working directory."""
    if os.environ.get(HOME):
        return Path(os.environ[HOME])
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_FREE_MIN:
        mark = blake2b(os.fsencode(fallback.resolve()), digest_size=4).hexdigest()
        return MEMORY / f"leasehold-test-{os.geteuid()}" / mark
    return fallback


def _bin_dir(name: str) -> Path | None:
    """None: the default binaries, which may be of that very version."""
    if name == "default" or str(find_binaries().major) == name:
        return None
    folder = SYSTEM_INSTALLS / name / "bin"
    if not (folder / "initdb").exists():
        raise ServerBinariesMissing(
            f"Tests on PostgreSQL {name} were asked for, and {folder} has no server.",
            remedy=f"Install postgresql-{name}, or leave {name} out of --servers.",
        )
    return folder
