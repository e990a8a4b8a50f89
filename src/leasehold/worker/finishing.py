"""Finishing: the ends of steps wait here until the database has them. One thread records, in as few calls as possible.

While the database is away nothing is dropped: the same ends are sent again, which is safe, until they are answered. A
stop drops what is left when its time is up; the steps then go back with the holder, or by the reaper, and run again.

A page that was sent with room for successors is sent again just as it was, so that its number means the same page.

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
from leasehold.kernel.steps import Finished, Successor
from leasehold.types import Outcome, StepLease
from leasehold.worker.held import Ledger
from leasehold.worker.kinds import Effects, Kind
from leasehold.worker.recording import Ended, GivenUp, Recorded, given_up, record, record_and_lease
from leasehold.worker.successors import Reserved
from leasehold.worker.threads import Threads

log = logging.getLogger("leasehold.worker")

PAGE_MAX = 2000
"""Ends in one call at most: a page of 500 takes the server 5 ms, and a call is one transaction."""
BACKLOG_MAX = 10_000
"""Unrecorded ends above which nothing more is claimed."""
FOLD_EVERY_S = 0.2
NO_GROUP = 0
"""Calls of hooks are of none."""

Waiting = tuple[StepLease, Outcome | None]


class Finisher:
    """Records what is added.

    Args:
        tally: told what was recorded, what was released, and which errors were their steps' last.
        news: called after a call that may have made steps ready.
        reserve: room for the successors of so many steps; None for none. Without effects only: with them, other locks
            come before.
        follow: told what came with it, and when, before the steps that were finished are settled.
        told: somebody wants to know which errors were the last.
    """

    def __init__(
        self,
        line: Line,
        thread: Threads,
        ledger: Ledger,
        tally: Callable[[Sequence[Recorded], Sequence[StepLease], GivenUp], None],
        news: Callable[[], None],
        reserve: Callable[[int], Reserved | None],
        follow: Callable[[Reserved, Sequence[Successor], float], None],
        *,
        told: bool = False,
    ) -> None:
        self._line = line
        self._thread = thread
        self._ledger = ledger
        self._tally = tally
        self._news = news
        self._reserve = reserve
        self._follow = follow
        self._told = told
        self._sent: tuple[list[Ended], Reserved] | None = None
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
                some, reserved = self._page(waiting, effects)
                recorded, finished, over = await loop.run_in_executor(
                    self._thread, self._record, some, effects, reserved
                )
                answered_s = time.monotonic()
                del waiting[: len(some)]
                self._tally(recorded, (), over)
                if reserved is not None:
                    self._sent = None
                    self._follow(reserved, finished.successors if finished else (), answered_s)
                self._settle(lease for lease, _, _ in recorded)
                if finished is None or finished.released:
                    self._news()
            del self._ends[effects]
        while self._unfinished:
            back = self._unfinished[:PAGE_MAX]
            mine = [lease for lease, _ in back if not self._ledger.gone(lease)]
            pairs = [(lease.token, lease.step_id) for lease in mine]
            released = await loop.run_in_executor(self._thread, steps.release, self._line, pairs)
            del self._unfinished[: len(back)]
            self._tally((), mine[:released], frozenset())
            self._settle(lease for lease, _ in back)
            self._news()

    def _page(self, waiting: list[Waiting], effects: Effects | None) -> tuple[list[Ended], Reserved | None]:
        """What to send next, and the room for its successors."""
        if effects is None and self._sent is not None:
            return self._sent
        some = [(lease, outcome) for lease, outcome in waiting[:PAGE_MAX] if outcome is not None]
        reserved = self._reserve(len(some)) if effects is None else None
        if reserved is not None:
            self._sent = some, reserved
        return some, reserved

    def _settle(self, leases: Iterable[StepLease]) -> None:
        for token, n in Counter([lease.token for lease in leases]).items():
            self._n -= n
            self._ledger.settle(token, n)

    def _record(
        self, ended: list[Ended], effects: Effects | None, reserved: Reserved | None
    ) -> tuple[list[Recorded], Finished | None, GivenUp]:
        finished = None
        if reserved is None:
            recorded = record(self._line, ended, effects)
        else:
            recorded, finished = record_and_lease(self._line, ended, reserved.room)
        over = given_up(self._line, recorded) if self._told else frozenset()
        self._folder.fold(self._line, {lease.group_id for lease, _ in ended})
        return recorded, finished, over


class Folder:
    """Folds the counts of groups just touched, each at most once in a while; keepers catch the last delta."""

    def __init__(self) -> None:
        self._not_before: dict[int, float] = {}

    def fold(self, session: Session, group_ids: set[int]) -> None:
        now = time.monotonic()
        if len(self._not_before) > 1000:
            self._not_before = {group: at for group, at in self._not_before.items() if at > now}
        for group_id in group_ids - {NO_GROUP}:
            if now >= self._not_before.get(group_id, 0.0):
                self._not_before[group_id] = now + FOLD_EVERY_S
                try:
                    groups.fold(session, group_id)
                except AWAY as error:
                    log.debug("group %s is folded later: %s", group_id, error)
