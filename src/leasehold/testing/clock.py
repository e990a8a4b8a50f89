"""The clock: tests set the database's time, for every process at once, and nobody waits.

`leasehold.now()` is replaced, in this one database, by a function that reads a table. Never by a session setting: any
role could fake that, and behind a pooler it would leak to strangers.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from importlib.resources import files
from typing import Any

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load

PACKAGE = "leasehold.testing"
CHECKSUM = hashlib.sha256(load(PACKAGE, "clock_table").encode()).hexdigest()


def prepare(connection: Connection) -> None:
    """Make the clock's table, once for each template."""
    connection.execute(load(PACKAGE, "clock_table"))


class Clock:
    """The time of one cloned database. Stands still until it is moved."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hold(self) -> Clock:
        """Stop at the real time of now; from here only `advance` and `set` move it."""
        self.set(None)
        self._session.fetch(load(PACKAGE, "clock_now"))
        return self

    def set(self, at: datetime | None) -> datetime:
        """Set the time (None: the real one)."""
        return _time(self._session.fetch(load(PACKAGE, "clock_set"), (at,)))

    def advance(self, seconds: float) -> datetime:
        """Move the time; negative moves it back."""
        return _time(self._session.fetch(load(PACKAGE, "clock_advance"), (seconds,)))

    def release(self) -> None:
        """Give the database its real clock again."""
        self._session.run(lambda c: execute(c, (files("leasehold.kernel") / "sql" / "now.sql").read_text("utf-8")))


def _time(rows: list[tuple[Any, ...]]) -> datetime:
    at: datetime = rows[0][0]
    return at
