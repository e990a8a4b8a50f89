"""A pool: sessions of one route that several threads take turns with. It has one owner, who alone closes it.

A borrower gets a session for a while. What it does to it stays its own affair: one that it closes is replaced by a new
one, one whose connection broke connects again by itself, one that is handed back in the middle of nothing is the next
borrower's. Never more than `size` sessions are out; who comes then waits. The last one back is the first one out, so a
pool that is little used keeps few connections busy.

Not here: how connections are made and made again (`session`), how attempts are shared (`routes`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from leasehold.db.session import Session

S = TypeVar("S", bound=Session)


class Pool(Generic[S]):
    """At most *size* sessions, made by *make* when they are first needed."""

    def __init__(self, make: Callable[[], S], size: int) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} sessions could serve nobody")
        self.size = size
        self._make = make
        self._free: list[S] = []
        self._out: list[S] = []
        self._turn = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def borrow(self) -> Iterator[S]:
        """A session for the block. From a pool that was closed: one that is closed too, and says so when it is used."""
        session = self._take()
        try:
            yield session
        finally:
            self._give(session)

    @property
    def borrowed(self) -> list[S]:
        """Those that are out at this moment; to be looked at, not to be used."""
        with self._turn:
            return list(self._out)

    def _take(self) -> S:
        with self._turn:
            self._turn.wait_for(lambda: self._closed or self._free or len(self._out) < self.size)
            session = self._free.pop() if self._free else self._make()
            if self._closed:
                session.close()
            self._out.append(session)
            return session

    def _give(self, session: S) -> None:
        with self._turn:
            self._out.remove(session)
            if not session.closed:
                self._free.append(session)
            self._turn.notify()

    def close(self) -> None:
        """For the owner: end all of them, those that are out too; a call under way on a `Line` is given up."""
        with self._turn:
            self._closed = True
            for session in (*self._free, *self._out):
                session.close()
            self._free.clear()
            self._turn.notify_all()
