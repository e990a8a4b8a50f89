"""Faults: what a network and a server do to a program, at chosen or seeded moments.

A plan is installed in `leasehold.db.session`, where every round trip passes. It raises what the driver would raise; the
session then really closes the connection, so the server sees it go. Kinds:

    drop          the connection breaks before the statement reaches the server
    drop_answers  the statement has run, the answer is lost, and so is the transaction
    drop_replies  the transaction has *committed*, and the reply is lost: the caller sends the verb again
    40001, 40P01  serialization failure, deadlock: the server rolled the transaction back
    53100         the server's disk is full; the statement is not tried again, the work is
    55P03         a lock could not be had in time; the statement is not tried again, the work is
    57P01         the server shuts down
    kill_before, kill_after, kill_committed
                  the process ends with SIGKILL: before a statement is sent, when it has run, when it is committed

A statement that is sent alone is its own transaction, so what happens after it finds it committed, whatever the kind.

A kind may be narrowed to statements that contain a text: `kill_after@leasehold.claim=0.1`.

`LEASEHOLD_FAULTS="seed=7;drop_replies=0.05;40001=0.02"` switches it on in real processes of a test, which call
`install_from_environment()` once at their start; each draws for itself.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from leasehold.db import session as sessions

ENVIRONMENT = "LEASEHOLD_FAULTS"


def _die() -> psycopg.Error:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives that")


KINDS: dict[str, tuple[str, Callable[[], psycopg.Error]]] = {
    "drop": ("before", lambda: psycopg.OperationalError("fault: the connection is lost")),
    "drop_answers": ("after", lambda: psycopg.OperationalError("fault: the answer is lost")),
    "drop_replies": ("after commit", lambda: psycopg.OperationalError("fault: committed, and the reply is lost")),
    "40001": ("before", lambda: pg.SerializationFailure("fault: could not serialize access")),
    "40P01": ("after", lambda: pg.DeadlockDetected("fault: deadlock detected")),
    "53100": ("before", lambda: pg.DiskFull("fault: could not extend file: No space left on device")),
    "55P03": ("before", lambda: pg.LockNotAvailable("fault: canceling statement due to lock timeout")),
    "57P01": ("after", lambda: pg.AdminShutdown("fault: terminating connection due to administrator command")),
    "kill_before": ("before", _die),
    "kill_after": ("after", _die),
    "kill_committed": ("after commit", _die),
}
DEADLY = frozenset({"kill_before", "kill_after", "kill_committed"})


class FaultPlan:
    """When which fault happens. Seeded ones by probability for each moment; planned ones at the n-th match.

    Args:
        seed: makes the random ones repeatable for one thread.
        chances: probability by kind, or by `kind@text`, for each statement or commit.
        limit: no more than this many faults in all; what stands still for ever proves nothing.
    """

    def __init__(self, seed: int = 0, chances: dict[str, float] | None = None, *, limit: int = 10**9) -> None:
        unknown = {name.partition("@")[0] for name in chances or {}} - set(KINDS)
        if unknown:
            raise ValueError(f"unknown faults {sorted(unknown)}; there are {', '.join(KINDS)}")
        self.random = random.Random(seed)
        self.chances = dict(chances or {})
        self.limit = limit
        self.happened: Counter[str] = Counter()
        self._planned: list[list[object]] = []
        self._turn = threading.Lock()

    def at(self, kind: str, *, of: str = "", n: int = 1) -> FaultPlan:
        """Plan one fault: at the *n*-th moment of its kind, from now, at which the statement contains *of*."""
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; there are {', '.join(KINDS)}")
        self._planned.append([kind, of, n])
        return self

    def __call__(self, moment: str, statement: str) -> None:
        with self._turn:
            kind = self._due(moment, statement) or self._drawn(moment, statement)
            if kind is None:
                return
            self.happened[kind] += 1
        raise KINDS[kind][1]()

    def _due(self, moment: str, statement: str) -> str | None:
        for plan in self._planned:
            kind, of, n = str(plan[0]), str(plan[1]), int(str(plan[2]))
            if KINDS[kind][0] == moment and of in statement:
                plan[2] = n - 1
                if n == 1:
                    self._planned.remove(plan)
                    return kind
        return None

    def _drawn(self, moment: str, statement: str = "") -> str | None:
        if self.happened.total() >= self.limit:
            return None
        for name, chance in self.chances.items():
            kind, _, text = name.partition("@")
            if KINDS[kind][0] == moment and text in statement and self.random.random() < chance:
                return kind
        return None

    @contextmanager
    def installed(self) -> Iterator[FaultPlan]:
        """In force inside the block, for every session of this process."""
        before, sessions.fault = sessions.fault, self
        try:
            yield self
        finally:
            sessions.fault = before


def parse(text: str) -> FaultPlan:
    """A plan from `seed=7;drop_replies=0.05;40001=0.02;limit=100`."""
    parts = [part.strip() for part in text.split(";") if part.strip()]
    if lonely := [part for part in parts if "=" not in part]:
        raise ValueError(f"{lonely[0]!r} has no chance; expected KIND=P")
    pairs = dict(part.rsplit("=", 1) for part in parts)
    seed, limit = int(pairs.pop("seed", "0")), int(pairs.pop("limit", str(10**9)))
    return FaultPlan(seed, {kind: float(chance) for kind, chance in pairs.items()}, limit=limit)


def install_from_environment() -> FaultPlan | None:
    """Install the plan that LEASEHOLD_FAULTS describes, for the rest of this process; None when it is not set."""
    text = os.environ.get(ENVIRONMENT)
    if not text:
        return None
    plan = parse(text)
    plan.random.seed(f"{text} {os.getpid()}")  # a process that is started again meets other faults than the last one
    sessions.fault = plan
    return plan
