"""Probing: what really answers at an address. By behaviour, never by a name.

A pooler shows itself by the process number: the one in the key that a connection got at its start is the pooler's
invention, and `pg_backend_pid()` is the server's. Whether it gives the server session away between two transactions is
told by twins: two connections that ask in turn. Each keeps a process of its own: session mode. One process answers
both, or one of them is answered by two: transaction mode. No session state is set to find out, for it would be left to
strangers; only where that is excluded are a setting and a notification tried as well.

Two addresses lead to the same place when database, its oid, the postmaster's start and (where the role may see it) the
system identifier are the same. A standby is no direct route.

Failure: an address that does not answer in time is not believed; nothing here waits longer than its bound, and what it
gives up on is cancelled and cut, so that no server session stays behind.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import psycopg
from psycopg import errors as pg

from leasehold.db.statements import load
from leasehold.logs import redact

PACKAGE = "leasehold.db"
CONNECT_S = 3
ANSWER_S = 4.0
ECHO_S = 1.0
TWINS = "abbaab"
"""How the twins ask: it finds out poolers that hand out the last server first, and those that go round."""

Raw = psycopg.Connection[tuple[object, ...]]


class Mode(StrEnum):
    """What stands at an address."""

    SERVER = "server"
    SESSION_POOLER = "pooler in session mode"
    TRANSACTION_POOLER = "pooler in transaction mode"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database of which running server."""

    database: str
    oid: int
    started: str
    standby: bool
    system: str | None

    def same_as(self, other: Identity) -> bool:
        systems = {self.system, other.system} - {None}
        mine, others = (self.database, self.oid, self.started), (other.database, other.oid, other.started)
        return mine == others and len(systems) <= 1


@dataclass(frozen=True, slots=True)
class Probed:
    """What an address turned out to be. `how`: by what that is known."""

    mode: Mode
    how: str
    identity: Identity
    version: str
    round_trip_ms: float
    state_survives: bool | None
    """Whether session state survives between statements; None: not tried, a transaction pooler would leak it."""
    listen_ms: float | None
    """How long a notification took to come back; None: not tried, or it stayed out."""


class NotUsable(psycopg.OperationalError):
    """The address cannot be what it was tried for; the text says why, without secrets. Worth another try, later."""


@contextlib.contextmanager
def opened(conninfo: str, *, within_s: float = ANSWER_S) -> Iterator[Raw]:
    """A connection whose statements are ended after *within_s* in all."""
    connection: Raw = psycopg.connect(
        conninfo,
        autocommit=True,
        prepare_threshold=None,
        application_name="leasehold probe",
        connect_timeout=CONNECT_S,
        tcp_user_timeout=5_000,
    )
    timer = threading.Timer(within_s, _end, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield connection
    finally:
        timer.cancel()
        connection.close()


def _end(connection: Raw) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.cancel_safe(timeout=0.5)
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=_duplicate(connection)) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _duplicate(connection: Raw) -> int:
    import os

    return os.dup(connection.fileno())


def probe(conninfo: str, *, session_tests: bool = True) -> Probed:
    """What stands at *conninfo*.

    Args:
        session_tests: also try a setting and a notification, where no pooler could give them to strangers.

    Raises:
        NotUsable: it cannot be reached, refuses, or does not answer in time.
    """
    try:
        with opened(conninfo) as first:
            identity = identify(first)
            mode, how = mode_of(first, conninfo)
            survives, listen_ms = None, None
            if session_tests and mode is not Mode.TRANSACTION_POOLER:
                survives, listen_ms = _state_survives(first), _echo(first)
            return Probed(mode, how, identity, _version(first), _round_trip_ms(first), survives, listen_ms)
    except (psycopg.Error, OSError) as error:
        raise NotUsable(first_line(error)) from error


def mode_at(conninfo: str) -> tuple[Mode, str]:
    """What stands at *conninfo*, and by what that is known: one statement where nobody stands between.

    Raises:
        NotUsable: as `probe`.
    """
    try:
        with opened(conninfo) as first:
            return mode_of(first, conninfo)
    except (psycopg.Error, OSError) as error:
        raise NotUsable(first_line(error)) from error


def identity_of(conninfo: str) -> Identity:
    """Raises NotUsable, as `probe`. One connection, three statements; passes every pooler."""
    try:
        with opened(conninfo) as connection:
            return identify(connection)
    except (psycopg.Error, OSError) as error:
        raise NotUsable(first_line(error)) from error


def identify(connection: Raw) -> Identity:
    database, oid, started, standby = _row(connection, "identity")
    try:
        system = str(_row(connection, "system_identifier")[0])
    except pg.InsufficientPrivilege:
        system = None
    return Identity(str(database), int(str(oid)), str(started), bool(standby), system)


def mode_of(first: Raw, conninfo: str) -> tuple[Mode, str]:
    """What stands between, and by what that is known."""
    if first.info.backend_pid == _pid(first):
        return Mode.SERVER, "the server process is the one the connection was opened to"
    between = "the server process is not the one the connection was opened to, so a pooler stands between"
    try:
        with opened(conninfo) as second:
            seen: dict[str, set[int]] = {"a": set(), "b": set()}
            for who in TWINS:
                seen[who].add(_pid(first if who == "a" else second))
    except (psycopg.Error, OSError) as error:
        return (
            Mode.TRANSACTION_POOLER,
            f"{between}; a second connection failed ({first_line(error)}): the worst is assumed",
        )
    if seen["a"] & seen["b"]:
        return Mode.TRANSACTION_POOLER, f"{between}; one server process answered two connections in turn"
    if len(seen["a"] | seen["b"]) > len(seen):
        return Mode.TRANSACTION_POOLER, f"{between}; the server process changed between two transactions"
    return Mode.SESSION_POOLER, f"{between}; each of two connections kept a server process of its own"


def _state_survives(connection: Raw) -> bool:
    token = uuid.uuid4().hex
    connection.execute(load(PACKAGE, "probe_set"), (token,))
    return _row(connection, "probe_get")[0] == token


def _echo(connection: Raw) -> float | None:
    """Listen, notify, wait for it."""
    token = uuid.uuid4().hex
    connection.execute(load(PACKAGE, "echo_listen"))
    sent_s = time.monotonic()
    connection.execute(load(PACKAGE, "echo_notify"), (token,))
    while (left_s := sent_s + ECHO_S - time.monotonic()) > 0:
        for note in connection.notifies(timeout=left_s, stop_after=1):
            if note.payload == token:
                return (time.monotonic() - sent_s) * 1000
    return None


def _round_trip_ms(connection: Raw) -> float:
    """The best of three, after the first statements have warmed the way."""
    times = []
    for _ in range(3):
        began_s = time.monotonic()
        _pid(connection)
        times.append(time.monotonic() - began_s)
    return min(times) * 1000


def _version(connection: Raw) -> str:
    number = connection.info.server_version
    return f"{number // 10000}.{number % 10000}"


def _pid(connection: Raw) -> int:
    return int(str(_row(connection, "backend_pid")[0]))


def _row(connection: Raw, name: str) -> tuple[object, ...]:
    row = connection.execute(load(PACKAGE, name)).fetchone()
    assert row is not None
    return row


def first_line(error: BaseException) -> str:
    """The first line of what the driver says, without secrets."""
    text = str(error).strip()
    return redact(text.splitlines()[0]) if text else type(error).__name__
