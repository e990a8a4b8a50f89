"""Queue: how the queue stands, read from its rows when somebody asks, and not more often than it costs.

A reading is kept for a second, and for twenty times as long as it took: however many ask, the database spends a
twentieth of one session's time on it. A reading that takes longer than its bound is given up, and says that it failed.

Bounded: at most `KINDS_MAX` kinds have numbers of their own, the busiest; the rest are added up as `other`. Groups,
sources and lanes have none: a label with a value for each of them would grow for ever. What one needs to know of lanes
is how many there are, how long the longest is, and since when the oldest step waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from leasehold.db.line import Line
from leasehold.db.target import Target
from leasehold.kernel import checks, conditions
from leasehold.kernel.conditions import Standing
from leasehold.metrics import families
from leasehold.metrics.families import Family
from leasehold.worker.tallies import KINDS_MAX, OTHER

log = logging.getLogger("leasehold.metrics")

KEPT_S = 1.0
SHARE = 20.0
BOUND_S = 5.0

Samples = dict[Family, dict[tuple[str, ...], float]]


@dataclass(slots=True)
class Reading:
    """What the rows said; empty when they could not be read."""

    up: bool
    took_s: float
    samples: Samples = field(default_factory=dict)


class Queue:
    """Reads by a session of its own. `read` may be called from any thread."""

    def __init__(self, target: Target) -> None:
        self._line = Line(target, application_name="leasehold metrics", patience_s=BOUND_S)
        self._lock = threading.Lock()
        self._reading: Reading | None = None
        self._until_s = 0.0

    def read(self) -> Reading:
        with self._lock:
            now = time.monotonic()
            if self._reading is None or now >= self._until_s:
                self._reading = self._look()
                took_s = time.monotonic() - now
                self._until_s = now + took_s + max(KEPT_S, SHARE * took_s)
            return self._reading

    def close(self) -> None:
        self._line.close()

    def _look(self) -> Reading:
        began_s = time.monotonic()
        giving_up = threading.Timer(BOUND_S, self._line.give_up)
        giving_up.daemon = True
        giving_up.start()
        try:
            standing, totals = conditions.standing(self._line), checks.queue_totals(self._line)
        except Exception as error:  # whatever it is, a scrape gets the numbers that there are
            log.warning("the queue could not be read for metrics: %s", error)
            return Reading(False, time.monotonic() - began_s)
        finally:
            giving_up.cancel()
        return Reading(True, time.monotonic() - began_s, {**of_kinds(standing), **of_totals(totals)})


def of_kinds(standing: Sequence[Standing]) -> Samples:
    """The samples that have a kind."""
    named = _named(standing)
    found: defaultdict[Family, dict[tuple[str, ...], float]] = defaultdict(dict)

    def add(family: Family, *labels: str, n: float) -> None:
        found[family][labels] = found[family].get(labels, 0.0) + n

    def most(family: Family, *labels: str, n: float) -> None:
        found[family][labels] = max(found[family].get(labels, 0.0), n)

    for one in standing:
        kind = one.kind if one.kind in named else OTHER
        most(families.OLDEST_READY, kind, n=0.0)
        if one.state == "waiting":
            state = "blocked" if one.held_back else "ready"
            add(families.QUEUE_STEPS, kind, state, n=one.steps)
            add(families.QUEUE_LANES, kind, state, n=one.places)
            most(families.LONGEST_LANE, kind, state, n=one.longest or 0)
            if not one.held_back:
                most(families.OLDEST_READY, kind, n=one.age_s or 0.0)
        elif one.state == conditions.SLOW:
            add(families.SLOW, kind, n=one.steps)
        else:
            add(families.QUEUE_STEPS, kind, one.state, n=one.steps)
            if one.state == "leased":
                most(families.OLDEST_LEASED, kind, n=one.age_s or 0.0)
    return dict(found)


def _named(standing: Sequence[Standing]) -> set[str]:
    """The kinds that get numbers of their own."""
    steps: defaultdict[str, int] = defaultdict(int)
    for one in standing:
        steps[one.kind] += one.steps
    return set(sorted(steps, key=lambda kind: (-steps[kind], kind))[:KINDS_MAX])


def of_totals(totals: dict[tuple[str, str], int]) -> Samples:
    found: Samples = {
        families.RUNS: {}, families.REFUSED: {}, families.HOLDERS: {}, families.SEATS: {},
        families.GROUPS: {(): 0.0}, families.SEAT_LINE: {(): 0.0}, families.BREAKERS: {(): 0.0},
    }  # fmt: skip
    labelled = {
        "runs": families.RUNS,
        "refused": families.REFUSED,
        "holders": families.HOLDERS,
        "seats": families.SEATS,
    }
    single = {"groups": families.GROUPS, "line": families.SEAT_LINE, "breakers": families.BREAKERS}
    for (what, which), n in totals.items():
        if what in labelled:
            found[labelled[what]][(which,)] = float(n)
        else:
            found[single[what]][()] = float(n)
    return found
