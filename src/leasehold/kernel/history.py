"""History: what has ended, in ranges of runs and of events, and how it leaves.

The rows of a run (its item, its steps, how they ended) stand in the partitions of its range: 1,048,576 run ids. A range
leaves by its partitions being detached and dropped, not by deleting rows: nothing is left behind for a vacuum, and the
disk has its room back. Where some runs of it must stay, they are copied into new partitions first, which take the place
of the old ones in one transaction.

Authoritative: the database, under its locks; what a look says may have changed when a range is pruned. A run goes when
its group has completed and is old enough, it has ended itself, and nobody needs it. Live ones never go, whatever is
asked. The group's row keeps its counts, and `group_pruned` how many of them are of runs that have left.

Whoever needs runs that have ended says so with `needed`: this module knows nothing of items.

Failure: a prune may be killed at any moment and be run again. A range is pruned wholly or not at all; detached tables
that are left over are dropped by the next one. Two at once take turns over a range.

Not here: which runs documents need (`documents/pruning`), how often to prune (cron's business).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from leasehold.db.line import BROKEN
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import Refused

PACKAGE = "leasehold.kernel"
RANGE_RUNS = 1 << 20
CLOSE_PARTS = 4
"""A range is closed when its first run is older than this part of the time that history is kept: then history stays
for a quarter longer than asked at most, in six ranges or fewer. Every statement that runs by its generic plan locks
every range's partition, so few are better."""
WAIT_MS = 12
"""How long a prune may stand in the way of who adds and finishes, waiting for its lock, each time it tries."""
TRIES = 10
TIDY_PAGE = 2000
LIVE_MAX = 1000
"""Live runs of a range that are copied under the lock; with more of them the range is held."""
ANOTHERS = ("42P01", "55000")
"""No such partition any more, or its detach is under way: another prune was here."""

Needed = Callable[[Session, int, int], Sequence[int]]
"""needed(session, first, end): the runs in [first, end) that have ended and must stay all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """One range of runs, and what pruning it would do or has done. `verdict`: pruned, would go, nothing, current, held
    (more must stay than goes), busy. `keeping`: the groups of most of what stays, with why."""

    range: int
    bytes: int
    verdict: str
    gone: int = 0
    kept: int = 0
    live: int = 0
    keeping: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRange:
    """One range of events. `newest_s`: how long ago the newest of them happened; None when there is none."""

    range: int
    bytes: int
    closed: bool
    newest_s: float | None
    pending: bool


@dataclass(slots=True, kw_only=True)
class Pruned:
    """What one prune did, or would do: ranges of runs, ranges of events that went, tables dropped, small rows."""

    ranges: list[Range] = field(default_factory=list)
    events: list[EventRange] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    rows: int = 0
    closed: bool = False

    @property
    def runs(self) -> int:
        return sum(one.gone for one in self.ranges if one.verdict in ("pruned", "would go"))


def look(session: Session, *, older_than_s: float, keep_failed: bool, needed: Needed) -> Pruned:
    """What `prune` would do; changes nothing. Ranges that it would close first are said as if they were closed."""
    would_close = _close(session, older_than_s, do=False)
    found = Pruned(closed=would_close)
    for number, size, closed in ranges(session):
        params = {"range": number, "older": older_than_s, "keep_failed": keep_failed,
                  "needed": list(needed(session, number * RANGE_RUNS, (number + 1) * RANGE_RUNS))}  # fmt: skip
        runs, goes, live, keeping = session.fetch(load(PACKAGE, "range_counts"), params)[0]
        if not runs and not closed:
            continue
        verdict = "would go"
        if not closed and not would_close:
            verdict = "current"
        elif runs and not goes:
            verdict = "nothing"
        elif runs - goes > goes or live > LIVE_MAX:
            verdict = "held"
        found.ranges.append(Range(range=number, bytes=size, verdict=verdict, gone=goes, kept=runs - goes, live=live,
                                  keeping=tuple(keeping)))  # fmt: skip
    found.events = [one for one in event_ranges(session) if _leaves(one, older_than_s)]
    return found


def prune(
    session: Session,
    *,
    older_than_s: float,
    keep_failed: bool = False,
    needed: Needed,
    on_range: Callable[[Range], None] = lambda one: None,
) -> Pruned:
    """Let leave what has ended long enough ago; see the module.

    Args:
        older_than_s: seconds since a group's completion. 0: everything that has ended.
        keep_failed: failed runs stay, to be retried.
        session: on the direct route, alone: each step is a transaction of its own.
        on_range: told of each range when it is done.
    """
    done = Pruned()
    done.closed = _close(session, older_than_s, do=True)
    done.tables += _drop(session)
    for number, size, is_closed in ranges(session):
        if is_closed:
            one = _prune_range(session, number, size, older_than_s, keep_failed, needed)
            done.ranges.append(one)
            done.tables += _drop(session)
            on_range(one)
    for event_range in event_ranges(session):
        if _leaves(event_range, older_than_s):
            _detach_events(session, event_range)
            done.events.append(event_range)
    done.tables += _drop(session)
    while rows := int(session.fetch(load(PACKAGE, "call_prune_tidy"), (older_than_s, TIDY_PAGE))[0][0]):
        done.rows += rows
    return done


def pruned_at(session: Session, run_id: int) -> Any:
    """When the range of this run was pruned last; None when it never was."""
    rows = session.fetch(load(PACKAGE, "run_pruned"), (run_id,))
    return rows[0][0] if rows else None


def gone(session: Session, group_id: int) -> int:
    """How many runs of this group have left."""
    rows = session.fetch(load(PACKAGE, "group_gone"), (group_id,))
    return int(rows[0][0]) if rows else 0


def farewell(session: Session, run_id: int) -> str:
    """What to say beside "there is no run": that it may have left; '' where nothing has."""
    at = pruned_at(session, run_id)
    return (
        "" if at is None else f" What had ended of its time has left: leasehold prune was here at {at:%Y-%m-%d %H:%M}."
    )


def event_ranges(session: Session) -> list[EventRange]:
    """The ranges of events there are, oldest first."""
    return [
        EventRange(range=number, bytes=size, closed=closed, newest_s=newest_s, pending=pending)
        for number, size, closed, newest_s, pending in session.fetch(load(PACKAGE, "call_event_ranges"))
    ]


def ranges(session: Session) -> list[tuple[int, int, bool]]:
    """(number, bytes, closed) of each range of runs that has partitions, oldest first."""
    return [(int(row[0]), int(row[1]), bool(row[2])) for row in session.fetch(load(PACKAGE, "call_ranges"))]


def _close(session: Session, older_than_s: float, *, do: bool) -> bool:
    return bool(session.fetch(load(PACKAGE, "call_close_ranges"), (older_than_s / CLOSE_PARTS, do))[0][0])


def _prune_range(
    session: Session, number: int, size: int, older_than_s: float, keep_failed: bool, needed: Needed
) -> Range:
    """One range, tried a second time when it had changed in between."""
    for again in (True, False):
        kept_for = list(needed(session, number * RANGE_RUNS, (number + 1) * RANGE_RUNS))
        params = (number, older_than_s, keep_failed, kept_for, WAIT_MS, TRIES)
        try:
            verdict, gone, kept = session.fetch(load(PACKAGE, "call_prune_range"), params)[0]
        except Refused:
            verdict, gone, kept = "busy", 0, 0
        if verdict != "busy" or not again:
            break
        time.sleep(0.5)
    return Range(range=number, bytes=size, verdict=verdict, gone=gone, kept=kept)


def _leaves(one: EventRange, older_than_s: float) -> bool:
    return one.closed and (one.pending or one.newest_s is None or one.newest_s > older_than_s)


def _detach_events(session: Session, one: EventRange) -> None:
    """Detached without standing in anybody's way: it only waits for who is reading events now."""
    session.fetch(load(PACKAGE, "events_pruned"), {"range": one.range, "newest": one.newest_s or 0.0})
    name = "event_detach_finalize" if one.pending else "event_detach"
    try:
        session.fetch(load(PACKAGE, name).replace("RANGE", str(one.range)))
    except BROKEN as error:
        if getattr(error, "sqlstate", None) not in ANOTHERS:
            raise


def _drop(session: Session) -> list[str]:
    """Drop what is detached; the names."""
    dropped = []
    while name := session.fetch(load(PACKAGE, "call_prune_drop"))[0][0]:
        dropped.append(name)
    return dropped
