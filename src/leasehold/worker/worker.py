"""A worker: one event loop that claims steps by its lane policy, runs them in consumers, and records their ends.

Embedded in your own program it keeps itself alive by a thread; in a child process its keeper does (`holder_id` and
`board` are then given). Several workers in one process are independent; nothing here is global.

Invariant: what this worker holds is in `_held`, per kind; it asks for no more than its consumers and prefetch allow.
Claims are numbered, so one whose reply was lost is asked for again under its number and answered with the same leases.

Not here: which lane is next (policy), how a page runs (pages), how a single step runs (consumers), processes (keeper).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable, HolderGone, LeaseholdError
from leasehold.kernel import groups, holders, steps
from leasehold.kernel.steps import Lane, Lease, Verdict
from leasehold.options import LeaseOptions
from leasehold.types import Outcome, StepError, StepLease
from leasehold.worker.beats import Beats
from leasehold.worker.board import Board
from leasehold.worker.consumers import Consumers
from leasehold.worker.kinds import Kind
from leasehold.worker.listener import Listener
from leasehold.worker.pages import Page
from leasehold.worker.policy import KindLimits, LanePolicy, LaneView
from leasehold.worker.pools import check_kinds, pool_of
from leasehold.worker.recording import Ended, record

log = logging.getLogger("leasehold.worker")
T = TypeVar("T")

POLL_MIN_S = 0.05
HINT_AGE_S = 1.0
"""A hint is where this worker stood in a lane this long ago: a step whose commit came later than its neighbours' is
still behind it."""
RESCAN_EVERY_S = 30.0
"""A scan of each lane from its start at least this often, for commits that came later still."""
FOLD_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker serves.

    Args:
        database: a PostgreSQL URL, or a `Target`.
        kinds: the kinds it can run. Steps of other kinds are left alone.
        consumers: consumer pools, {"parse": 4, "store": 1, "*": 2}; `*` is every kind that no named pool has.
        poll_max_s: an idle worker looks for work at least this often; notifications wake it sooner.
    """

    database: str | Target
    kinds: Sequence[Kind]
    consumers: Mapping[str, int] = field(default_factory=lambda: {"*": 4})
    name: str = ""
    lease: LeaseOptions = field(default_factory=LeaseOptions)
    poll_max_s: float = 2.0

    @property
    def target(self) -> Target:
        return self.database if isinstance(self.database, Target) else Target(url=self.database)


@dataclass(slots=True)
class Counts:
    """What this worker did so far, in steps."""

    claimed: int = 0
    ended: int = 0
    failed: int = 0
    lost: int = 0
    released: int = 0


class Worker:
    """`async with Worker(config): ...`, or `start` and `stop`."""

    def __init__(self, config: WorkerConfig, *, holder_id: int | None = None, board: Board | None = None) -> None:
        check_kinds(config.consumers, [kind.name for kind in config.kinds])
        self.config = config
        self.counts = Counts()
        self._kinds = {kind.name: kind for kind in config.kinds if pool_of(kind.name, config.consumers) is not None}
        self._holder_id = holder_id
        self._kept_by_parent = holder_id is not None
        self._board = board
        self._policy = LanePolicy(config.consumers, {name: _limits(kind) for name, kind in self._kinds.items()})
        self._held: dict[str, int] = defaultdict(int)
        self._leases: dict[int, tuple[float, bool]] = {}  # token: (when its claim was answered, alone)
        self._left: dict[int, int] = {}  # token: steps of it not yet ended
        self._lost_tokens: set[int] = set()
        self._claim_no = 0
        self._hints: dict[int, deque[tuple[float, int]]] = {}
        self._rescan_at: dict[int, float] = {}
        self._ended: list[tuple[Kind, StepLease, Outcome | None]] = []
        self._draining_for: tuple[int, ...] = ()
        self._views: list[LaneView] = []
        self._lanes: dict[int, Lane] = {}
        self._folds: dict[int, float] = {}
        self._stopping = False
        self._page_stop = threading.Event()
        self._started = False
        self._failure: BaseException | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join and begin to work. Starting twice changes nothing."""
        if self._started:
            return
        self._started = True
        self._loop = asyncio.get_running_loop()
        self._wake, self._ended_event, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        target = self.config.target
        self._claims = Session(target, application_name="leasehold claims")
        self._finishes = Session(target, application_name="leasehold finishes")
        self._claim_thread = ThreadPoolExecutor(1, "leasehold-claims")
        self._finish_thread = ThreadPoolExecutor(1, "leasehold-finishes")
        slots = sum(self.config.consumers.values())
        self._threads = ThreadPoolExecutor(max(slots, 1), "leasehold-consumer")
        self._page_sessions: list[Session] = []
        self._page_slots = list(range(slots))
        self._local = threading.local()
        self._pools: dict[str, Consumers] = {}
        base = slots
        for name, size in self.config.consumers.items():
            self._pools[name] = Consumers(size, self._report, self._threads, self._board, base)
            self._pools[name].start()
            base += size
        if self._holder_id is None:
            name = self.config.name or f"{socket.gethostname()}:{os.getpid()}"
            self._holder_id = await self._in(
                self._claim_thread,
                lambda: holders.join(self._claims, kind="worker", name=name, ttl_s=self.config.lease.ttl_s),
            )
        self._beats = None
        if not self._kept_by_parent:
            self._beats = Beats(target, self.config.lease, lambda: [self._holder_id or 0], self._beaten)
            self._beats.start()
        self._listener = Listener(target, self._wake_threadsafe)
        self._listener.start()
        self._tasks = [
            asyncio.create_task(self._guard(self._claim_loop()), name="leasehold-claim"),
            asyncio.create_task(self._guard(self._finish_loop()), name="leasehold-finish"),
            asyncio.create_task(self._guard(self._sweep_loop()), name="leasehold-sweep"),
        ]

    async def stop(self, timeout_s: float = 30.0) -> None:
        """Stop claiming, let running steps finish, cancel what exceeds the time, release it uncharged, leave.

        Takes at most `timeout_s` and about two seconds, also when the database is down. Stopping a worker that was
        not started, or twice, does nothing.
        """
        if not self._started or self._stopping:
            return
        self._stopping = True
        give_up_at = time.monotonic() + timeout_s
        self._wake.set()
        await self._quietly(self._tasks[0], 1.0)
        self._page_stop.set()
        for pool in self._pools.values():
            self._release_later(pool.take_waiting())
        await self._drain(give_up_at - time.monotonic())
        for pool in self._pools.values():
            pool.interrupt("stopping")
        await self._drain(0.5)
        for task in self._tasks[1:]:
            task.cancel()
        for pool in self._pools.values():
            await pool.stop()
        self._listener.stop()
        if self._beats is not None:
            await asyncio.to_thread(self._beats.stop)
        await self._leave(max(0.5, give_up_at - time.monotonic()))

    async def wait(self) -> None:
        """Until the worker stops, or fails for a reason it cannot mend (which is raised)."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failure is not None and not self._stopping:
            raise self._failure

    async def __aenter__(self) -> Worker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _leave(self, within_s: float) -> None:
        """Give everything back and close; without the database the reaper will do it one TTL later."""
        self._claims.patience_s = self._finishes.patience_s = min(1.0, within_s)
        with contextlib.suppress(LeaseholdError, TimeoutError):
            await asyncio.wait_for(self._in(self._finish_thread, self._give_back), within_s + 1.0)
        for session in (self._claims, self._finishes, *self._page_sessions):
            session.close()
        for executor in (self._claim_thread, self._finish_thread, self._threads):
            executor.shutdown(wait=False, cancel_futures=True)

    def _give_back(self) -> None:
        self.counts.released += holders.leave(self._finishes, self._holder_id or 0)

    async def _drain(self, within_s: float) -> None:
        """Until nothing runs and everything is recorded, or the time is up."""
        give_up_at = time.monotonic() + max(0.0, within_s)
        while time.monotonic() < give_up_at:
            if not self._left and not self._ended:
                return
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), min(0.05, max(0.001, give_up_at - time.monotonic())))

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failure = error
            log.error("worker stopped: %s", error, exc_info=not isinstance(error, LeaseholdError))
            for task in self._tasks:
                task.cancel()
            raise

    # -- claiming -----------------------------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        look_at, empty_polls, looked_s = 0.0, 0, 0.0
        while not self._stopping:
            woken = self._wake.is_set()
            self._wake.clear()
            now = time.monotonic()
            if woken:  # something ended, arrived or was said: look again, but not more often than every 2 ms
                look_at = min(look_at, looked_s + 0.002)
            if now >= look_at:
                looked_s = now
                if not await self._look():
                    look_at = time.monotonic() + 1.0
                    continue
                empty_polls = 0 if self._views else empty_polls + 1
                look_at = time.monotonic() + self._poll_s(empty_polls)
            if await self._claim_once():
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, look_at - time.monotonic()))

    def _poll_s(self, empty_polls: int) -> float:
        wait_s = min(self.config.poll_max_s, POLL_MIN_S * 2 ** min(empty_polls, 10))
        return wait_s * random.uniform(0.75, 1.25)

    async def _look(self) -> bool:
        """Ask which lanes have work; False when the database cannot be reached just now."""
        try:
            found = await self._in(self._claim_thread, lambda: steps.lanes(self._claims, list(self._kinds)))
        except DatabaseUnavailable as error:
            log.warning("%s", error.message)
            return False
        self._lanes = {lane.lane_id: lane for lane in found}
        self._views = [
            LaneView(lane.lane_id, lane.kind, lane.group_id, lane.weight, lane.priority, stage=lane.stage)
            for lane in found
        ]
        return True

    async def _claim_once(self) -> bool:
        """Ask for what the policy wants; whether anything came."""
        requests = self._requests()
        if not requests:
            return False
        self._claim_no += 1
        number, holder_id = self._claim_no, self._holder_id or 0
        try:
            claimed = await self._in(
                self._claim_thread, lambda: steps.claim(self._claims, holder_id, number, requests)
            )
        except HolderGone:
            if self._kept_by_parent:
                raise
            await self._join_again()
            return True
        except DatabaseUnavailable as error:
            log.warning("%s", error.message)
            return False
        for lease in claimed.leases:
            await self._dispatch(lease)
        self._learn(requests, claimed)
        return bool(claimed.leases)

    def _requests(self) -> list[steps.LaneRequest]:
        if self._draining_for:
            if self._leases:
                return []
            wanted, self._draining_for = self._draining_for, ()
            known = [lane_id for lane_id in wanted if lane_id in self._lanes]
            return [self._request(lane_id, 1) for lane_id in known]
        if any(alone for _, alone in self._leases.values()):
            return []
        return [self._request(wish.lane_id, wish.n) for wish in self._policy.choose(self._views, self._held)]

    def _request(self, lane_id: int, n: int) -> steps.LaneRequest:
        kind = self._kinds[self._lanes[lane_id].kind]
        n = kind.page_max if kind.run_page is not None else n
        return steps.LaneRequest(lane_id, n, self._hint(lane_id), kind.lease_s)

    def _hint(self, lane_id: int) -> int:
        now = time.monotonic()
        if now >= self._rescan_at.get(lane_id, 0.0):
            self._rescan_at[lane_id] = now + RESCAN_EVERY_S
            return 0
        history = self._hints.get(lane_id)
        if not history:
            return 0
        while len(history) > 1 and now - history[1][0] > HINT_AGE_S:
            history.popleft()
        return history[0][1] if now - history[0][0] > HINT_AGE_S else 0

    def _learn(self, requests: list[steps.LaneRequest], claimed: steps.Claimed) -> None:
        """Tell the policy and the hints what the claim brought."""
        now = time.monotonic()
        got = {lease.lane_id: lease for lease in claimed.leases}
        for request in requests:
            lease = got.get(request.lane_id)
            paged = self._kinds[self._lanes[request.lane_id].kind].run_page is not None
            n = len(lease.steps) if lease else 0
            self._policy.took(request.lane_id, min(n, 1) if paged else n)
            if lease is None:
                if request.hint:  # the lane was said to have work: look from its start next time
                    self._hints.pop(request.lane_id, None)
                    self._rescan_at[request.lane_id] = 0.0
                    self._wake.set()
            elif lease.last_position is not None:
                self._hints.setdefault(request.lane_id, deque()).append((now, lease.last_position))
        if claimed.alone_waiting:
            self._draining_for = claimed.alone_waiting

    async def _join_again(self) -> None:
        """This holder was reaped (the process slept, or the database was away): drop all it held and join anew."""
        log.warning("holder %s was reaped; what it held is dropped, joining again", self._holder_id)
        self._lost_tokens.update(self._leases)
        self._drop_lost()
        name = self.config.name or f"{socket.gethostname()}:{os.getpid()}"
        self._holder_id = await self._in(
            self._claim_thread,
            lambda: holders.join(self._claims, kind="worker", name=name, ttl_s=self.config.lease.ttl_s),
        )
        self._claim_no = 0

    # -- running ------------------------------------------------------------------------------------------------------

    async def _dispatch(self, lease: Lease) -> None:
        lane = self._lanes[lease.lane_id]
        kind = self._kinds[lane.kind]
        self._leases[lease.token] = (time.monotonic(), lease.alone)
        self._left[lease.token] = len(lease.steps)
        self.counts.claimed += len(lease.steps)
        items: dict[int, Any] = {}
        if kind.payload:
            runs = [step_id >> 10 for step_id, _ in lease.steps]
            items = await self._in(self._claim_thread, lambda: steps.payloads(self._claims, runs))
        leased = [
            StepLease(step_id, lease.token, attempt, items.get(step_id >> 10), lane.group_id)
            for step_id, attempt in lease.steps
        ]
        if kind.run_page is not None:
            self._held[kind.name] += 1
            future = self._threads.submit(self._work_page, kind, leased)
            future.add_done_callback(lambda done: self._page_done(kind, lease.token, done))
        else:
            self._held[kind.name] += len(leased)
            self._pools[pool_of(kind.name, self.config.consumers) or "*"].put(kind, leased)

    def _work_page(self, kind: Kind, leased: list[StepLease]) -> None:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session(self.config.target, application_name="leasehold consumer")
            self._page_sessions.append(session)
        slot = self._page_slots.pop()
        try:
            Page(
                kind, leased, session, board=self._board, slot=slot,
                told=lambda ended, verdicts: self._page_told(session, ended, verdicts),
                stopping=self._page_stop.is_set, taken_away=self._lost_tokens.__contains__,
            ).work()  # fmt: skip
        finally:
            self._page_slots.append(slot)

    def _page_told(self, session: Session, ended: list[Ended], verdicts: list[Verdict]) -> None:
        self._count(ended, verdicts)
        self._fold(session, {lease.group_id for lease, _ in ended})
        self._wake_threadsafe()

    def _page_done(self, kind: Kind, token: int, done: Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            log.error("a page of '%s' broke: %s", kind.name, error, exc_info=error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._page_over, kind, token)

    def _page_over(self, kind: Kind, token: int) -> None:
        self._held[kind.name] -= 1
        self._forget(token)
        self._wake.set()

    def _report(self, kind: Kind, lease: StepLease, outcome: Outcome | None) -> None:
        self._held[kind.name] -= 1
        self._ended.append((kind, lease, outcome))
        self._ended_event.set()
        if self._held[kind.name] <= kind.prefetch // 2:
            self._wake.set()

    def _release_later(self, leases: list[StepLease]) -> None:
        """Steps that were never started: their lease ends with the holder, which leaves in a moment."""
        for lease in leases:
            self._ended_steps(lease.token, 1)

    # -- recording ----------------------------------------------------------------------------------------------------

    async def _finish_loop(self) -> None:
        while True:
            await self._ended_event.wait()
            self._ended_event.clear()
            ended, self._ended = self._ended, []
            if not ended:
                continue
            try:
                await self._in(self._finish_thread, lambda: self._record(ended))
            except (DatabaseUnavailable, HolderGone) as error:
                log.warning("%d ended steps could not be recorded: %s", len(ended), error.message)
            for _, lease, _ in ended:
                self._ended_steps(lease.token, 1)
            self._wake.set()
            self._idle.set()

    def _record(self, ended: list[tuple[Kind, StepLease, Outcome | None]]) -> None:
        by_effects: dict[int, tuple[Kind, list[Ended]]] = {}
        interrupted = []
        for kind, lease, outcome in ended:
            if outcome is None:
                interrupted.append((lease.token, lease.step_id))
            else:
                by_effects.setdefault(id(kind.effects), (kind, []))[1].append((lease, outcome))
        for kind, some in by_effects.values():
            self._count(some, record(self._finishes, some, kind.effects))
        mine = [(token, step_id) for token, step_id in interrupted if token not in self._lost_tokens]
        self.counts.released += steps.release(self._finishes, mine)
        self._fold(self._finishes, {lease.group_id for _, lease, _ in ended})

    def _count(self, ended: Sequence[Ended], verdicts: Sequence[Verdict]) -> None:
        lost = verdicts.count(Verdict.LOST)
        failed = sum(isinstance(outcome, StepError) for _, outcome in ended)
        self.counts.ended += len(ended) - lost
        self.counts.lost += lost
        self.counts.failed += failed
        if self._board is not None:
            self._board.count(len(ended) - lost, failed)

    def _fold(self, session: Session, group_ids: set[int]) -> None:
        """Fold the groups just touched, each at most once in a while; keepers catch the last delta."""
        now = time.monotonic()
        for group_id in group_ids:
            if now >= self._folds.get(group_id, 0.0):
                self._folds[group_id] = now + FOLD_EVERY_S
                groups.fold(session, group_id)

    def _ended_steps(self, token: int, n: int) -> None:
        left = self._left.get(token, 0) - n
        if left > 0:
            self._left[token] = left
        else:
            self._forget(token)

    def _forget(self, token: int) -> None:
        self._left.pop(token, None)
        self._leases.pop(token, None)
        self._lost_tokens.discard(token)
        self._idle.set()

    # -- what the keeper says -----------------------------------------------------------------------------------------

    def beaten(self, sent_s: float, tokens: frozenset[int] | None) -> None:
        """A heartbeat was answered: what was leased before it was sent and is not in *tokens* was taken away.

        None: the holder itself has ended. Called on any thread.
        """
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._compare, sent_s, tokens)

    def _beaten(self, sent_s: float, ids: list[int], living: dict[int, frozenset[int]]) -> None:
        if self._holder_id in ids:
            self.beaten(sent_s, living.get(self._holder_id))

    def _compare(self, sent_s: float, tokens: frozenset[int] | None) -> None:
        gone = [
            token
            for token, (answered_s, _) in self._leases.items()
            if answered_s < sent_s and (tokens is None or token not in tokens)
        ]
        if gone:
            self._lost_tokens.update(gone)
            self._drop_lost()

    def _drop_lost(self) -> None:
        for pool in self._pools.values():
            pool.interrupt("lost", lambda lease: lease.token in self._lost_tokens)
            kept = [(kind, lease) for kind, lease in pool.waiting if lease.token not in self._lost_tokens]
            for kind, lease in pool.waiting:
                if lease.token in self._lost_tokens:
                    self._held[kind.name] -= 1
                    self._ended_steps(lease.token, 1)
            pool.waiting.clear()
            pool.waiting.extend(kept)

    async def _sweep_loop(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for pool in self._pools.values():
                pool.sweep()

    # -- small things -------------------------------------------------------------------------------------------------

    def _wake_threadsafe(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _in(self, executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(executor, call)

    async def _quietly(self, task: asyncio.Task[None], within_s: float) -> None:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asyncio.wait_for(task, within_s)


def _limits(kind: Kind) -> KindLimits:
    """For a page function the policy counts pages: one consumer works one page, whatever its size."""
    if kind.run_page is not None:
        return KindLimits(page_max=1, prefetch=0)
    return KindLimits(page_max=kind.page_max, prefetch=kind.prefetch)
