"""Tallies: what a worker did, in numbers that only rise, for whoever watches from outside.

They say what one worker did since it started, and nothing decides by them: not the account, not a claim. What is true
of the queue is read from its rows (`metrics.queue`). A step's end is counted once the database has answered for it,
under the word that stands in its row; a worker that is killed between that answer and its tally leaves the tally one
call short, and the row right.

A worker tells a `Metrics`; without one it tells nobody, and pays nothing. `Tallies` is the one that we have: 64-bit
numbers in a piece of memory. A child's is on its board, so its keeper reads it without asking, and still has it when
the child was killed.

Not here: names and help for Prometheus (metrics).
"""

from __future__ import annotations

import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

OUTCOMES = ("succeeded", "failed", "retried", "skipped", "snoozed", "released", "lost")
"""How an attempt left its worker. retried: an error with attempts left; lost: its late word was refused."""
SUCCEEDED, FAILED, RETRIED, SKIPPED, SNOOZED, RELEASED, LOST = OUTCOMES
CLAIMS = ("tried", "won", "lost", "idle")
"""tried: claims sent; won: brought something; lost: others had taken it; idle: looks that found nothing to claim."""
TRIED, WON, MISSED, IDLE = CLAIMS
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets of both histograms; a last one takes the rest."""
KINDS_MAX = 64
OTHER = "other"
"""Under this name go the kinds beyond `KINDS_MAX`, so that the numbers stay few whatever is served."""

_NAME_BYTES = 64
_BUCKETS = len(BOUNDS_S) + 1
_TIMES = _BUCKETS + 1  # and the sum, in microseconds
_CLAIM_CELLS = len(CLAIMS) + 1 + _TIMES
_KIND_CELLS = len(OUTCOMES) + 2 + _TIMES
_NAMES_AT = 8 * (_CLAIM_CELLS + _KIND_CELLS * (KINDS_MAX + 1))
TALLY_BYTES = _NAMES_AT + _NAME_BYTES * KINDS_MAX


class Metrics(Protocol):
    """What a worker tells of itself. Called from its loop and its claim thread; may neither wait nor raise."""

    def claimed(self, result: str, took_s: float | None = None) -> None:
        """A claim was tried, won or lost, or a look was idle. `took_s`: how long the database took to answer."""

    def passed_over(self, lanes: int) -> None:
        """A look passed over so many lanes because a resource they stand behind has no seat."""

    def leased(self, kind: str, steps: int) -> None:
        """Steps were leased to this worker."""

    def ran(self, kind: str, seconds: list[float]) -> None:
        """Steps were at work for so long each, however they ended. The list is the callee's."""

    def ended(self, kind: str, outcome: str, steps: int) -> None:
        """So many steps left this worker, by one of `OUTCOMES`."""

    def timed_out(self, kind: str, steps: int) -> None:
        """Of the steps that ended, so many because their time was up."""


class Nobody:
    """Tells nobody: the default."""

    def claimed(self, result: str, took_s: float | None = None) -> None: ...
    def passed_over(self, lanes: int) -> None: ...
    def leased(self, kind: str, steps: int) -> None: ...
    def ran(self, kind: str, seconds: list[float]) -> None: ...
    def ended(self, kind: str, outcome: str, steps: int) -> None: ...
    def timed_out(self, kind: str, steps: int) -> None: ...


NOBODY = Nobody()


@dataclass(slots=True)
class Times:
    """A histogram: how many within each of `BOUNDS_S` and beyond, and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    sum_s: float = 0.0

    def add(self, other: Times) -> None:
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.sum_s += other.sum_s

    @property
    def count(self) -> int:
        return sum(self.buckets)


@dataclass(slots=True)
class OfKind:
    """What was done of one kind: ends by outcome, steps leased, those that timed out, and how long steps ran."""

    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    leased: int = 0
    timed_out: int = 0
    ran: Times = field(default_factory=Times)

    def add(self, other: OfKind) -> None:
        self.ends = {name: n + other.ends[name] for name, n in self.ends.items()}
        self.leased += other.leased
        self.timed_out += other.timed_out
        self.ran.add(other.ran)


@dataclass(slots=True)
class Upkeep:
    """What a keeper, or an embedded worker's own thread, did besides: how its processes ended, and whom it reaped.

    `ends`: processes by how they ended (ended, died, timeout, stood down). `given_back`, `charged`: steps taken from
    dead ones, by how they died (died, timeout, reaped, deadline).
    """

    processes: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    given_back: dict[str, int] = field(default_factory=dict)
    charged: dict[str, int] = field(default_factory=dict)
    reaped: int = 0


@dataclass(slots=True)
class Numbers:
    """Tallies as values, of one worker or of several added up."""

    claims: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLAIMS, 0))
    passed_over: int = 0
    claiming: Times = field(default_factory=Times)
    kinds: dict[str, OfKind] = field(default_factory=dict)
    upkeep: Upkeep | None = None

    def add(self, other: Numbers) -> None:
        self.claims = {name: n + other.claims[name] for name, n in self.claims.items()}
        self.passed_over += other.passed_over
        self.claiming.add(other.claiming)
        for name, kind in other.kinds.items():
            self.kinds.setdefault(name, OfKind()).add(kind)


def total(several: Iterable[Numbers]) -> Numbers:
    summed = Numbers()
    for one in several:
        summed.add(one)
    return summed


class Tallies:
    """A `Metrics` that counts in memory: its own, or *memory* of `TALLY_BYTES` that somebody else reads as well.

    Each number has one thread that writes it, so none is lost; whoever reads them sees each as it was a moment ago.
    """

    def __init__(self, memory: bytearray | mmap.mmap | memoryview | None = None) -> None:
        view = memoryview(memory if memory is not None else bytearray(TALLY_BYTES))[:TALLY_BYTES]
        self._cells = view[:_NAMES_AT].cast("B").cast("q")
        self._names = view[_NAMES_AT:]
        self._at: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the memory, which then may be unmapped."""
        self._cells.release()
        self._names.release()

    # -- telling ------------------------------------------------------------------------------------------------------

    def claimed(self, result: str, took_s: float | None = None) -> None:
        self._cells[CLAIMS.index(result)] += 1
        if took_s is not None:
            self._time(len(CLAIMS) + 1, took_s)

    def passed_over(self, lanes: int) -> None:
        self._cells[len(CLAIMS)] += lanes

    def leased(self, kind: str, steps: int) -> None:
        self._cells[self._kind(kind) + len(OUTCOMES)] += steps

    def ran(self, kind: str, seconds: list[float]) -> None:
        at, below = self._kind(kind) + len(OUTCOMES) + 2, 0
        seconds.sort()
        for bucket, bound in enumerate(BOUNDS_S):
            upto = bisect_right(seconds, bound, below)
            self._cells[at + bucket] += upto - below
            below = upto
        self._cells[at + _BUCKETS - 1] += len(seconds) - below
        self._cells[at + _BUCKETS] += int(sum(seconds) * 1e6)

    def ended(self, kind: str, outcome: str, steps: int) -> None:
        self._cells[self._kind(kind) + OUTCOMES.index(outcome)] += steps

    def timed_out(self, kind: str, steps: int) -> None:
        self._cells[self._kind(kind) + len(OUTCOMES) + 1] += steps

    def _time(self, at: int, seconds: float) -> None:
        self._cells[at + bisect_left(BOUNDS_S, seconds)] += 1
        self._cells[at + _BUCKETS] += int(seconds * 1e6)

    def _kind(self, name: str) -> int:
        """Where the kind's numbers begin; a new one gets the next place, or that of all others."""
        at = self._at.get(name)
        if at is None:
            number = min(len(self._at), KINDS_MAX)
            if number < KINDS_MAX:
                written = name.encode()[:_NAME_BYTES]
                self._names[number * _NAME_BYTES : number * _NAME_BYTES + len(written)] = written
            at = self._at[name] = _CLAIM_CELLS + _KIND_CELLS * number
        return at

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self) -> Numbers:
        cells = self._cells.tolist()
        found = Numbers(dict(zip(CLAIMS, cells, strict=False)), cells[len(CLAIMS)], _times(cells, len(CLAIMS) + 1))
        for number in range(KINDS_MAX + 1):
            at = _CLAIM_CELLS + _KIND_CELLS * number
            if name := self._name(number, any(cells[at : at + _KIND_CELLS])):
                ends = dict(zip(OUTCOMES, cells[at : at + len(OUTCOMES)], strict=True))
                leased, timed_out = cells[at + len(OUTCOMES) : at + len(OUTCOMES) + 2]
                found.kinds[name] = OfKind(ends, leased, timed_out, _times(cells, at + len(OUTCOMES) + 2))
        return found

    def _name(self, number: int, used: bool) -> str:
        if number == KINDS_MAX:
            return OTHER if used else ""
        written = bytes(self._names[number * _NAME_BYTES : (number + 1) * _NAME_BYTES])
        return written.rstrip(b"\0").decode(errors="ignore")


def _times(cells: list[int], at: int) -> Times:
    return Times(cells[at : at + _BUCKETS], cells[at + _BUCKETS] / 1e6)
