"""Lines: sessions whose call, when it hangs, can be given up from another thread.

Giving up means two things: the server is asked to cancel (a timeout without a cancellation leaks a backend), and then
the socket is cut, which wakes the thread that waits on it also when the server does not answer at all.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from leasehold.db.session import Connection, Session, cut
from leasehold.db.statements import load
from leasehold.errors import DatabaseUnavailable, DiskFull, ServerStartFailed

log = logging.getLogger("leasehold.db")
T = TypeVar("T")

AWAY = (DatabaseUnavailable, DiskFull, ServerStartFailed, psycopg.OperationalError, psycopg.InterfaceError)
"""After one of these the same call may work later: the database is away, full, restarting, or cancelled the call."""
BROKEN = (psycopg.Error, OSError)
"""What a connection that is used without a session may raise."""


class Line(Session):
    """A session that knows whether a call is under way.

    `busy_since_s` is the monotonic time since which a call is under way; 0.0: none is.
    """

    statement_timeout = "120s"
    busy_since_s = 0.0
    _given_up_s = 0.0

    def run(self, work: Callable[[Connection], T]) -> T:
        with self._lock:
            self.busy_since_s = time.monotonic()
            try:
                return super().run(work)
            finally:
                self.busy_since_s = 0.0

    def _limit(self, connection: Connection) -> None:
        super()._limit(connection)
        connection.execute(load("leasehold.db", "statement_limit"))

    def give_up(self) -> None:
        """End the call under way from another thread: it fails as if the connection had broken."""
        connection = self._connection
        if connection is not None and not connection.closed:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=0.5)
            cut(connection)

    def give_up_if_hung(self, bound_s: float) -> bool:
        """Give up, from another thread and without waiting for it, a call that has had no answer for *bound_s*. Its
        session tries again on a new connection; True when that was necessary now."""
        since_s = max(self.busy_since_s, self._given_up_s)
        if not self.busy_since_s or time.monotonic() - since_s <= bound_s:
            return False
        self._given_up_s = time.monotonic()
        log.warning("a call of %s has had no answer for %g s and is given up", self.application_name, bound_s)
        threading.Thread(target=self.give_up, name="leasehold-gives-up", daemon=True).start()
        return True

    def close(self) -> None:
        """End it, from any thread. A call under way is given up; its own thread then closes the connection."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._lock.release()
        elif self._connection is not None:
            cut(self._connection)

    def _connect(self) -> Connection:
        connection = super()._connect()
        if self._closed:
            self._drop()
            raise DatabaseUnavailable("This session has been closed.", target=self.target.described())
        return connection


def over_a_limit(error: BaseException) -> bool:
    """Whether the database refused because something is too long or too many (class 54). No other try does better,
    though the driver files it with the failures of connections."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith("54")
