"""The bench's own server: new for each run, gone after it; and its databases, one for each contender and scenario.

It is the server that Leasehold starts for its users: PostgreSQL of the wheel with the settings of `leasehold db up`,
durable (fsync and synchronous_commit on), reached by a socket. Everybody is measured on it. As root it runs under a
lesser account, as any server of ours does.

A contender's schema is made once, in a template; each measurement begins with a copy of that.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

from leasehold.db import embedded

SHOWN = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "wal_level", "jit")


class BenchServer:
    """Raises SystemExit when another bench is using that home: a server that two measure on is no measure."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.parent.mkdir(parents=True, exist_ok=True)
        self._turn = home.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another bench is running in {home}; wait for its end.") from None
        self._discard()
        home.mkdir(parents=True, mode=0o755)
        self._server = embedded.ensure(home)
        self.socket_dir = parse_qs(urlsplit(self._server.url).query)["host"][0]

    def connect(self, database: str = "leasehold") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database), autocommit=True, application_name="bench")

    def url(self, database: str) -> str:
        return self._server.url.replace("@/leasehold?", f"@/{database}?")

    def environment(self, database: str) -> dict[str, str]:
        """How a contender finds its database, whatever driver it has."""
        address = {"PGHOST": self.socket_dir, "PGPORT": "5432", "PGUSER": "leasehold", "PGDATABASE": database}
        return address | {"BENCH_URL": self.url(database), "PGSSLMODE": "disable"}

    def create(self, database: str, template: str = "template0", *, large: bool = False) -> None:
        """A new database of that name, whatever was there. A large one is copied as files, past the log."""
        strategy = "file_copy" if large else "wal_log"
        with self.connect() as connection:
            connection.execute(f'drop database if exists "{database}" with (force)')
            connection.execute(f'create database "{database}" template "{template}" strategy {strategy}')

    def drop(self, database: str) -> None:
        with self.connect() as connection:
            connection.execute(f'drop database if exists "{database}" with (force)')

    def settle(self, database: str) -> None:
        """Leave nothing to vacuum or to write that belongs to the filling."""
        with self.connect(database) as connection:
            connection.execute("vacuum (analyze)")
            connection.execute("checkpoint")

    def settings(self) -> dict[str, str]:
        with self.connect() as connection:
            return {name: str(connection.execute(f"show {name}").fetchone()[0]) for name in SHOWN}

    def close(self) -> None:
        self._discard()
        self._turn.close()

    def _discard(self) -> None:
        """Stop it and remove all of it, also where root's server keeps its data elsewhere."""
        if not self.home.exists():
            return
        data = embedded.status(self.home).data_dir
        embedded.release(self.home)
        embedded.stop(self.home)
        for folder in (data.parent, self.home):
            shutil.rmtree(folder, ignore_errors=True)


def others_share(seconds: float = 1.0) -> float | None:
    """How much of the processors others use while nothing of ours works, 0 to 1; None where nobody tells."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None:
        return None
    total = sum(after) - sum(before)
    idle = sum(after[3:5]) - sum(before[3:5])
    return max(0.0, 1 - idle / total) if total else None


def _ticks() -> list[int] | None:
    try:
        return [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
