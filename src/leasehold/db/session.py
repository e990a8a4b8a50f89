"""Sessions: one connection to the database that comes back by itself.

A statement that fails because the connection went away, or because the server rolled the transaction back to let
another one through (40001, 40P01), is sent again on a fresh transaction. That is safe because every verb of the kernel
may be sent again. Everything else is raised at once: a statement timeout or a broken constraint does not get better.

A single statement is its own transaction and is sent without BEGIN and COMMIT around it. That saves two round trips,
and a claim never leaves its holder's row locked while this process is stopped, or while a step keeps the interpreter to
itself: the heartbeat of the same holder, sent by another process, would wait for that lock until the lease is gone.

Retries last longer than a pooler's breaker (12 s), with decorrelated jitter; `patience_s` sets it. A session that finds
itself on a read-only server (25006: a failover left it behind) drops the connection, tells the others of its target to
do the same, and asks for the address again.

Each session takes one of the two `routes`. Where its server session is given to others between transactions, nothing is
left in it: no prepared statement, no setting beyond the transaction's end. A connection may go over to a better route
between two transactions, never within one.

Not here: pooling of many sessions; what the statements mean.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import psycopg
from psycopg import errors as pg

from leasehold.db import routes
from leasehold.db.probing import first_line
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.errors import (
    DatabaseUnavailable,
    DatabaseVersion,
    DiskFull,
    GroupEnded,
    HolderGone,
    LeaseholdError,
    NotFound,
    PageTooLarge,
    PermissionDenied,
    QueueFull,
    Refused,
    UsageError,
)

T = TypeVar("T")
Fault = Callable[[str, str], None]

fault: Fault | None = None
"""Set by tests (leasehold.testing.faults): called as fault(moment, statement) before and after each round trip."""

TRY_AGAIN = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    pg.SerializationFailure,
    pg.DeadlockDetected,
    pg.IdleInTransactionSessionTimeout,
)
POOLER_LIMITS = re.compile(
    r"(?i)max clients|maxclients|emaxconn|unable to check out|check_?out timeout|no more connections allowed"
    r"|too many (clients|connections)|query_wait_timeout|server_login_retry|could not get connection from the pool"
)
"""A pooler whose places are all taken, in the words of those that say so under a SQLSTATE of no use (XX000, 08P01)."""
POOLER_TIMED_OUT = re.compile(r"(?i)\bquery[_ ]timeout\b")
"""A pooler that ended a statement for its length: as final as the server's own statement timeout."""
GREETING_HANGS_S = 5.0
"""As long as connecting may take. Nobody else can end a greeting whose answer never comes: no session has its
connection yet."""
TURNED_AWAY = re.compile(
    r'(?i)password authentication failed|no password supplied|(role|database|user) "[^"]*" does not exist'
    r"|no pg_hba\.conf entry|peer authentication failed|tenant or user not found"
)
"""A server that answers and lets us not in. The driver tells it of no SQLSTATE. Final for a session that has never been
in: the address is wrong. One that has been in goes on trying: a server may be coming back from somewhere."""
NEVER_AGAIN = (
    pg.QueryCanceled,
    pg.LockNotAvailable,
    pg.DiskFull,
    pg.InvalidPassword,
    pg.InvalidAuthorizationSpecification,
    pg.InvalidCatalogName,
    pg.ConfigurationLimitExceeded,
    pg.ProgramLimitExceeded,
    pg.StatementTooComplex,
    pg.TooManyColumns,
    pg.TooManyArguments,
)


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows whether its server session is given to others between two transactions."""

    shared = False


class Session:
    """One connection on one route. Not for several threads at once; a lock makes a mistake wait, not break.

    Args:
        route: "direct" for claims, heartbeats, migrations, index builds and transactions that stand open for long.
        application_name: shown in pg_stat_activity; names the process and its duty.
        patience_s: how long connection failures are tried again before DatabaseUnavailable is raised.
    """

    statement_timeout: str | None = None
    """Of its own sessions; None leaves the server's."""

    def __init__(
        self,
        target: Target,
        *,
        route: routes.Name = "pooled",
        application_name: str = "leasehold",
        patience_s: float = 12.0,
    ) -> None:
        self.target = target
        self.application_name = application_name
        self.patience_s = patience_s
        self.reconnects = 0
        self.connected_at_s = 0.0
        self._route: routes.Name = route
        self._routes = routes.of(target)
        self._generation = 0
        self._connection: Connection | None = None
        self._lock = threading.RLock()
        self._bare = False
        self._closed = False

    # -- calls --------------------------------------------------------------------------------------------------------

    def fetch(self, statement: str, params: Sequence[Any] | dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement in its own transaction; all its rows, [] when it returns none."""
        return self.single(lambda connection: execute(connection, statement, params))

    def single(self, work: Callable[[Connection], T]) -> T:
        """Run *work*, which sends exactly one statement. That is its own transaction: nothing is sent around it."""
        with self._lock:
            self._bare = True
            try:
                return self.run(work)
            finally:
                self._bare = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in one transaction and commit. It may be called again, so it must only touch the database."""
        with self._lock:
            return self._patiently(work)

    def _patiently(self, work: Callable[[Connection], T]) -> T:
        give_up_at = time.monotonic() + self.patience_s
        pause_s = 0.02
        while True:
            try:
                connection = self._connect()
                with nullcontext() if self._bare else connection.transaction():
                    if connection.shared and not self._bare:
                        self._limit(connection)
                    answer = work(connection)
                    if fault is not None:
                        fault("before commit", "commit")
                if fault is not None:
                    fault("after commit", "commit")
                return answer
            except pg.ReadOnlySqlTransaction as error:
                self._drop()
                self._routes.left()
                failure: Exception = error
            except NEVER_AGAIN as error:
                raise translate(error) from error
            except TRY_AGAIN as error:
                if (final := self._final(error)) is not None:
                    self._drop()
                    raise final from error
                if not isinstance(error, (pg.SerializationFailure, pg.DeadlockDetected)):
                    self._drop()
                failure = error
            except psycopg.Error as error:
                if not POOLER_LIMITS.search(str(error)):
                    raise translate(error) from error
                self._drop()
                failure = error
            if self._closed or time.monotonic() + pause_s > give_up_at:
                raise DatabaseUnavailable(
                    f"The database cannot be reached: {first_line(failure)}", target=self.target.described()
                ) from failure
            time.sleep(pause_s)
            pause_s = min(1.0, random.uniform(0.02, pause_s * 3))

    def _final(self, error: psycopg.Error) -> Exception | None:
        """What trying again cannot mend, though it looks like a lost connection."""
        if POOLER_TIMED_OUT.search(str(error)):
            return translate(error)
        if self.connected_at_s or not TURNED_AWAY.search(str(error)):
            return None
        said = first_line(error).rpartition("FATAL:")[2].strip()
        return DatabaseUnavailable(
            f"The database server lets us not in: {said}",
            remedy="Check user, password and database name in the address.",
            target=self.target.described(),
        )

    # -- the connection -----------------------------------------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        """The connection itself, made if need be; for COPY, LISTEN and tests. The caller handles its failures."""
        return self._connect()

    def _connect(self) -> Connection:
        if self._connection is not None and not self._connection.closed:
            if self._generation == self._routes.generation or self._connection.info.transaction_status:
                return self._connection
            self._drop()
        if self._closed:
            raise DatabaseUnavailable("This session has been closed.", target=self.target.described())
        if self.connected_at_s:
            self.reconnects += 1
        self._generation = self._routes.generation
        connection = connect(
            self.target,
            route=self._route,
            application_name=self.application_name,
            statement_timeout=self.statement_timeout,
        )
        self._connection = connection
        self.connected_at_s = time.monotonic()
        return connection

    def _limit(self, connection: Connection) -> None:
        """The bounds that a session of its own would have, for this transaction alone."""
        connection.execute(load("leasehold.db", "transaction_limits"))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def closed(self) -> bool:
        """Whether it was ended for good; one that lost its connection is not."""
        return self._closed

    def close(self) -> None:
        """End it; a call that is waiting to try again gives up at once."""
        self._closed = True
        self._drop()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    target: Target,
    *,
    application_name: str,
    route: routes.Name = "pooled",
    autocommit: bool = True,
    statement_timeout: str | None = None,
) -> Connection:
    """One new connection; keepalives notice a dead network within about 15 s.

    Raises:
        DatabaseVersion: the server is older than 15.
        RouteMismatch: database.direct_url leads to another database.
        psycopg.OperationalError: it cannot be reached, or is not to be written to and the route is the direct one.
    """
    known = routes.of(target)
    way = known.route(route)
    connection = known.door(route).through(lambda: _open(target, way, application_name, autocommit))
    if connection.info.server_version < 150000:
        version = connection.info.server_version // 10000
        connection.close()
        raise DatabaseVersion(f"The database server is PostgreSQL {version}.", target=target.described())
    try:
        with within(connection, GREETING_HANGS_S):
            _greet(connection, way, statement_timeout)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def within(connection: Connection, bound_s: float) -> Iterator[None]:
    """What is called inside fails, as if the connection had broken, when it has had no answer for *bound_s*."""
    limit = threading.Timer(bound_s, cut, (connection,))
    limit.daemon = True
    limit.start()
    try:
        yield
    finally:
        limit.cancel()


def cut(connection: Connection) -> None:
    """Shut the socket of *connection* down; whoever waits on it is woken with an error. The descriptor stays open."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _open(target: Target, way: routes.Route, application_name: str, autocommit: bool) -> Connection:
    conninfo = way.conninfo if way.conninfo is not None else target.conninfo()
    return Connection.connect(
        conninfo,
        autocommit=autocommit,
        prepare_threshold=None if way.shared else 5,
        application_name=application_name,
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=3,
        keepalives_count=3,
        tcp_user_timeout=15_000,
        **_to_a_primary(conninfo),
    )


def _to_a_primary(conninfo: str) -> dict[str, Any]:
    """Among several hosts the one that takes writes, unless the address says otherwise: after a failover the first of
    the list may be the one that was left."""
    given = routes.parts(conninfo)
    several = "," in given.get("host", given.get("hostaddr", ""))
    return {"target_session_attrs": "read-write"} if several and "target_session_attrs" not in given else {}


def _greet(connection: Connection, way: routes.Route, statement_timeout: str | None) -> None:
    """Find out who answers, and set the bounds of its transactions where nobody else gets the session later."""
    known = (way.shared, connection.info.backend_pid, statement_timeout)
    pid, read_only, _, _ = connection.execute(load("leasehold.db", "greeting"), known).fetchall()[0]
    if not connection.autocommit:
        connection.commit()
    connection.shared = pid != connection.info.backend_pid if way.shared is None else way.shared
    if connection.shared:
        connection.prepare_threshold = None
    if read_only and way.name == "direct":
        raise pg.ReadOnlySqlTransaction("the server is read-only: a standby, or a failover is under way")


def execute(
    connection: Connection,
    statement: str,
    params: Sequence[Any] | dict[str, Any] | None = None,
    *,
    binary: bool = False,
) -> list[tuple[Any, ...]]:
    """One statement on *connection*: all its rows, [] when it returns none. Every statement passes here.

    `binary` asks for results in binary form: smaller and quicker for bytes and vectors.
    """
    if fault is not None:
        fault("before", statement)
    cursor = connection.execute(statement, params, binary=binary)
    rows = cursor.fetchall() if cursor.description is not None else []
    if fault is not None:
        fault("after", statement)
    return rows


# -- the server's errors in our words ---------------------------------------------------------------------------------

BY_STATE: dict[str, type[LeaseholdError]] = {
    "LS002": HolderGone,
    "LS004": NotFound,
    "LS005": Refused,
    "LS006": GroupEnded,
    "LS007": QueueFull,
    "LS008": PageTooLarge,
    "LS010": UsageError,
    "LC010": UsageError,
}


def translate(error: psycopg.Error) -> Exception:
    """Our error for a server's SQLSTATE, with its HINT as the remedy; an error we do not know stays what it is."""
    kind = BY_STATE.get(error.sqlstate or "")
    if kind is not None:
        return kind(error.diag.message_primary, remedy=error.diag.message_hint)
    if isinstance(error, pg.InsufficientPrivilege):
        remedy = None
        if "for database" in str(error):
            remedy = "Let its owner run: grant create on database NAME to ROLE; or use the owner's role."
        return PermissionDenied(f"The database role lacks a right: {first_line(error)}", remedy=remedy)
    if isinstance(error, pg.DependentObjectsStillExist):
        return Refused(f"{error.diag.message_primary}: {error.diag.message_detail}", remedy="Drop those objects first.")
    if isinstance(error, pg.DiskFull):
        return DiskFull(f"The database server's disk is full: {first_line(error)}")
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return DatabaseUnavailable(f"The database cannot be reached: {first_line(error)}")
    return error
