"""Finishing: the ends of steps wait here until the database has them. One thread records, in as few calls as possible.

While the database is away nothing is dropped: the same ends are sent again, which is safe, until they are answered. A
stop drops what is left when its time is up; the steps then go back with the holder, or by the reaper, and run again.

Belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from leasehold.db.line import AWAY, Line
from leasehold.db.session import Session
from leasehold.kernel import groups, steps
from leasehold.types import Outcome, StepLease
from leasehold.worker.held import Ledger
from leasehold.worker.kinds import Effects, Kind
from leasehold.worker.recording import Recorded, record
from leasehold.worker.threads import Threads

log = logging.getLogger("leasehold.worker")

PAGE_MAX = 2000
"""Ends in one call at most: a page of 500 takes the server 5 ms, and a call is one transaction."""
BACKLOG_MAX = 10_000
"""Unrecorded ends above which nothing more is claimed."""
FOLD_EVERY_S = 0.2

Waiting = tuple[StepLease, Outcome | None]


class Finisher:
    """Records what is added.

    Args:
        tally: told what was recorded, and how many were released.
        news: called after each call: successors may be ready.
    """

    def __init__(
        self,
        line: Line,
        thread: Threads,
        ledger: Ledger,
        tally: Callable[[Sequence[Recorded], int], None],
        news: Callable[[], None],
    ) -> None:
        self._line = line
        self._thread = thread
        self._ledger = ledger
        self._tally = tally
        self._news = news
        self._ends: defaultdict[Effects | None, list[Waiting]] = defaultdict(list)
        self._unfinished: list[Waiting] = []
        self._added = asyncio.Event()
        self._folder = Folder()
        self._n = 0

    def add(self, kind: Kind, lease: StepLease, outcome: Outcome | None) -> None:
        """How one step ended; None: it was interrupted, or did not start, and is given back uncharged."""
        if outcome is None:
            self._unfinished.append((lease, None))
        else:
            self._ends[kind.effects].append((lease, outcome))
        self._n += 1
        self._added.set()

    @property
    def empty(self) -> bool:
        return self._n == 0

    @property
    def full(self) -> bool:
        return self._n >= BACKLOG_MAX

    async def run(self) -> None:
        pause_s = 0.05
        while True:
            await self._added.wait()
            self._added.clear()
            try:
                await self._record_all()
                pause_s = 0.05
            except AWAY as error:
                log.warning("%d ended steps wait to be recorded: %s", self._n, error)
                self._added.set()
                await asyncio.sleep(pause_s)
                pause_s = min(1.0, pause_s * 2)

    async def _record_all(self) -> None:
        loop = asyncio.get_running_loop()
        for effects, waiting in list(self._ends.items()):
            while waiting:
                some = [(lease, outcome) for lease, outcome in waiting[:PAGE_MAX] if outcome is not None]
                recorded = await loop.run_in_executor(self._thread, self._record, some, effects)
                del waiting[: len(some)]
                self._tally(recorded, 0)
                self._settle(lease for lease, _, _ in recorded)
            del self._ends[effects]
        while self._unfinished:
            given_up = self._unfinished[:PAGE_MAX]
            mine = [(lease.token, lease.step_id) for lease, _ in given_up if not self._ledger.lost(lease.token)]
            released = await loop.run_in_executor(self._thread, steps.release, self._line, mine)
            del self._unfinished[: len(given_up)]
            self._tally((), released)
            self._settle(lease for lease, _ in given_up)

    def _settle(self, leases: Iterable[StepLease]) -> None:
        for token, n in Counter([lease.token for lease in leases]).items():
            self._n -= n
            self._ledger.settle(token, n)
        self._news()

    def _record(self, ended: list[tuple[StepLease, Outcome]], effects: Effects | None) -> list[Recorded]:
        recorded = record(self._line, ended, effects)
        self._folder.fold(self._line, {lease.group_id for lease, _ in ended})
        return recorded


class Folder:
    """Folds the counts of groups just touched, each at most once in a while; keepers catch the last delta."""

    def __init__(self) -> None:
        self._not_before: dict[int, float] = {}

    def fold(self, session: Session, group_ids: set[int]) -> None:
        now = time.monotonic()
        if len(self._not_before) > 1000:
            self._not_before = {group: at for group, at in self._not_before.items() if at > now}
        for group_id in group_ids:
            if now >= self._not_before.get(group_id, 0.0):
                self._not_before[group_id] = now + FOLD_EVERY_S
                try:
                    groups.fold(session, group_id)
                except AWAY as error:
                    log.debug("group %s is folded later: %s", group_id, error)
