"""Races: several sessions in an order that the test chooses, without sleeping.

A step of a race either completes, or is seen waiting for a lock in `pg_stat_activity`; only then the next one starts.

    race = Race(database)
    race.begin("A"); race.do("A", finish)        # A holds its locks, uncommitted
    race.start("B", reap).waits()                # B is now waiting for A
    race.commit("A")
    assert race.result("B") == ...
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import psycopg

from leasehold.db.session import Connection, Session, connect
from leasehold.db.statements import load
from leasehold.db.target import Target

T = TypeVar("T")
PATIENCE_S = 20.0
PACKAGE = "leasehold.testing"


class Started(Generic[T]):
    """Something that a session is doing now."""

    def __init__(self, pid: int, future: Future[T], look: Callable[[int], bool]) -> None:
        self._pid, self._future, self._look = pid, future, look

    def waits(self) -> Started[T]:
        """Return once the server says that it waits for a lock; fail if it ends before."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not self._look(self._pid):
            if self._future.done():
                raise AssertionError(f"it did not wait, it returned {self._future.result()!r}")
            if time.monotonic() > give_up_at:
                raise AssertionError("it neither waited nor ended")
        return self

    def settles(self) -> Started[T]:
        """Return once it waits for a lock, or has ended."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not self._future.done() and not self._look(self._pid):
            if time.monotonic() > give_up_at:
                raise AssertionError("it neither waited nor ended")
        return self

    def result(self) -> T:
        return self._future.result(PATIENCE_S)


class Race:
    """Named connections to one database, each with its thread. Transactions are the test's to begin and end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connections: dict[str, Connection] = {}
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._started: dict[str, Started[Any]] = {}
        self._observer = self._connect("observer")

    def _connect(self, name: str) -> Connection:
        return connect(Target(url=self._url), application_name=f"race {name}")

    def connection(self, name: str) -> Connection:
        if name not in self._connections:
            self._connections[name] = self._connect(name)
            self._threads[name] = ThreadPoolExecutor(1, f"race-{name}")
        return self._connections[name]

    def begin(self, name: str) -> None:
        self.connection(name).execute("begin")

    def do(self, name: str, work: Callable[[Connection], T]) -> T:
        """Let *name* do it now, to the end."""
        return self.start(name, work).result()

    def start(self, name: str, work: Callable[[Connection], T]) -> Started[T]:
        """Let *name* begin it; it may have to wait for others."""
        connection = self.connection(name)
        started = Started(connection.info.backend_pid, self._threads[name].submit(work, connection), self._waits)
        self._started[name] = started
        return started

    def result(self, name: str) -> Any:
        return self._started[name].result()

    def commit(self, name: str) -> None:
        self.connection(name).execute("commit")

    def rollback(self, name: str) -> None:
        self.connection(name).execute("rollback")

    def _waits(self, pid: int) -> bool:
        rows = self._observer.execute(load(PACKAGE, "waiting"), (pid,)).fetchall()
        return bool(rows[0][0])

    def close(self) -> None:
        for connection in (*self._connections.values(), self._observer):
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                connection.execute(load(PACKAGE, "flush_statistics"))
            connection.close()
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Race:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Borrowed(Session):
    """A session on somebody's connection and inside their transaction: verbs join it instead of committing."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(Target(url="borrowed"))
        self._borrowed = connection

    def run(self, work: Callable[[Connection], T]) -> T:
        return work(self._borrowed)


def together(url: str, works: Sequence[Callable[[Session], T]]) -> list[T]:
    """Do all *works* at once, each in a session and thread of its own, started at one barrier; results in order.

    Exceptions are raised, the first one, after all have ended.
    """
    barrier = threading.Barrier(len(works))

    def go(work: Callable[[Session], T]) -> T:
        with Session(Target(url=url)) as session:
            session.fetch("select 1")
            barrier.wait(PATIENCE_S)
            done = work(session)
            session.fetch(load(PACKAGE, "flush_statistics"))
            return done

    with ThreadPoolExecutor(len(works)) as threads:
        futures = [threads.submit(go, work) for work in works]
        return [future.result(120) for future in futures]


def deadlocks(url: str) -> int:
    """How many deadlocks this database has seen, from the server's statistics; those of every ended `Race` and of all
    that was done `together` are among them."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(load(PACKAGE, "deadlocks")).fetchone()
        return int(row[0]) if row else 0
