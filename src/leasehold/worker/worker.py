"""A worker: one event loop that claims steps by its lane policy, runs them in consumers, and records their ends.

Embedded in your own program it keeps itself alive by a thread; in a child process its keeper does (`holder_id` and
`board` are then given). Several workers in one process are independent; nothing here is global.

Life: `start` joins and claims; `stop` stops claiming, lets running steps finish, interrupts what exceeds the time,
gives back uncharged what did not end, and leaves. Everything is done once, however often it is asked for.

What can fail: the database may go away, for any time; work goes on when it is back. The holder may be reaped meanwhile:
an embedded worker drops what it held and joins anew, a kept one ends (its keeper starts another). Anything else that
breaks a loop of the worker stops the whole worker, aloud: half a worker would hold steps that nobody works.

Not here: when to look and claim (claiming), how a step runs (consumers, pages), how ends are recorded (finishing), what
is held (held), processes (keeper).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from leasehold.db.line import AWAY, Line
from leasehold.db.pool import Pool
from leasehold.db.target import Target
from leasehold.errors import HolderGone, LeaseholdError, UsageError
from leasehold.kernel import holders
from leasehold.kernel.holders import Kept
from leasehold.kernel.steps import Successor, Verdict
from leasehold.logs import about
from leasehold.options import LeaseOptions
from leasehold.types import Done, Outcome, StepError, StepLease
from leasehold.worker import room
from leasehold.worker.beats import Beats
from leasehold.worker.board import Board
from leasehold.worker.bus import LifecycleBus
from leasehold.worker.claiming import Claimer, Delivery, delivery
from leasehold.worker.consumers import Consumers
from leasehold.worker.finishing import Finisher, Folder
from leasehold.worker.held import Held, Ledger
from leasehold.worker.kinds import Kind
from leasehold.worker.listener import Listener
from leasehold.worker.pages import Page
from leasehold.worker.pools import Pools, check_kinds, pool_of
from leasehold.worker.recording import Ended, GivenUp, Recorded, given_up, outcome_word, timed_out
from leasehold.worker.standing import Standing
from leasehold.worker.successors import Reservations, Reserved
from leasehold.worker.tail import Tail
from leasehold.worker.tallies import NOBODY, RELEASED, SUCCEEDED, Metrics
from leasehold.worker.threads import Threads
from leasehold.worker.tracing import Tracing

log = logging.getLogger("leasehold.worker")
T = TypeVar("T")
Rest = list[tuple[StepLease, Outcome | None]]

SWEEP_EVERY_S = 0.1
INTERRUPTED_S = 0.5
"""How long interrupted steps may take to end, once a stop has run out of time."""
LEAVE_S = 1.0
TAIL_S = 1.0
"""How long a stop waits until observers were told what has happened."""
CLAIM_HANGS_S = 30.0
RECORD_HANGS_S = 150.0
"""A call without an answer for this long is given up, and sent again on a new connection. A network that has forgotten
a connection may go on answering for it, so TCP never says that nobody is there. Longer than any statement may take:
what is slow must not be sent again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker serves.

    Args:
        database: a PostgreSQL URL, or a `Target`.
        kinds: the kinds it can run. Steps of other kinds are left alone.
        consumers: consumer pools, {"parse": 4, "store": 1, "*": 2}; `*` is every kind that no named pool has.
        poll_max_s: an idle worker looks for work at least this often; notifications wake it sooner.
        metrics: what is told about its claims and steps; nobody, unless somebody wants to know (`leasehold.metrics`).
        tracing: what makes spans of its steps (`worker.tracing.OpenTelemetry`); None: nobody does.
        bus: whose observers hear what happens while the worker runs; they can hold nothing up.
    """

    database: str | Target
    kinds: Sequence[Kind]
    consumers: Mapping[str, int] = field(default_factory=lambda: {"*": 4})
    name: str = ""
    lease: LeaseOptions = field(default_factory=LeaseOptions)
    poll_max_s: float = 2.0
    metrics: Metrics = NOBODY
    tracing: Tracing | None = None
    bus: LifecycleBus | None = None

    @property
    def target(self) -> Target:
        return self.database if isinstance(self.database, Target) else Target(url=self.database)


@dataclass(slots=True)
class Counts:
    """What this worker did so far, in steps. `failed` are among the `ended`; `lost` were refused as too late."""

    claimed: int = 0
    ended: int = 0
    failed: int = 0
    lost: int = 0
    released: int = 0


class Worker:
    """`async with Worker(config): ...`, or `start` and `stop`. Its methods belong to one event loop."""

    def __init__(self, config: WorkerConfig, *, holder_id: int | None = None, board: Board | None = None) -> None:
        check_kinds(config.consumers, [kind.name for kind in config.kinds])
        self.config = config
        self.counts = Counts()
        self._kinds = {kind.name: kind for kind in config.kinds if pool_of(kind.name, config.consumers) is not None}
        if not self._kinds:
            raise UsageError(f"No consumer of {dict(config.consumers)} serves any of the worker's kinds.")
        self._standing = Standing(tuple(self._kinds))
        self._holder_id = holder_id or 0
        self._kept_by_parent = holder_id is not None
        self._board = board
        self._starting = asyncio.Lock()
        self._started = self._stopping = False
        self._stopped = asyncio.Event()
        self._idle = asyncio.Event()
        self._give_up_at = float("inf")
        self._page_stop = threading.Event()
        self._failure: BaseException | None = None
        self._untold = config.metrics is NOBODY
        self._drain: str | None = None
        self._last_stop: asyncio.Task[None] | None = None
        self._beats: Beats | None = None
        self._tail = Tail(config.target, config.bus) if config.bus is not None else None
        self._pools: dict[str, Consumers] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._page_lines = Pool(
            lambda: Line(config.target, application_name="leasehold consumer"), sum(config.consumers.values())
        )
        self._page_slots = list(range(sum(config.consumers.values())))

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join and begin to work. Starting twice changes nothing.

        Raises:
            DatabaseUnavailable: it could not join; it may be started again.
            UsageError: it has been stopped; make a new one.
        """
        async with self._starting:
            if self._stopping:
                raise UsageError("A worker that was stopped cannot be started again.", remedy="Make a new Worker.")
            if self._started:
                return
            self._make()
            try:
                if not self._kept_by_parent:
                    await self._in(self._claim_thread, self._check_room)
                    self._holder_id = await self._in(self._claim_thread, self._join)
                await self._in(self._claim_thread, self._serve)
                if self._tail is not None:
                    await self._in(self._claim_thread, self._tail.start)
            except BaseException:
                self._close()
                raise
            self._claimer.join(self._holder_id)
            self._begin()
            self._started = True

    def _make(self) -> None:
        config, target = self.config, self.config.target
        self._loop = asyncio.get_running_loop()
        self._claims = Line(target, route="direct", application_name="leasehold claims")
        self._finishes = Line(target, application_name="leasehold finishes")
        self._claim_thread, self._finish_thread = Threads(1, "leasehold-claims"), Threads(1, "leasehold-finishes")
        slots = sum(config.consumers.values())
        self._threads = Threads(slots, "leasehold-consumer")
        prefetch = {name: 0 if kind.paged else kind.prefetch for name, kind in self._kinds.items()}
        self._ledger = Ledger(Pools(config.consumers, prefetch), self._nothing_held)
        self._reservations = Reservations(self._kinds, config.consumers, self._ledger, lambda: self._claimer.quiet)
        self._finisher = Finisher(
            self._finishes, self._finish_thread, self._ledger, self._tally, self._news,
            lambda n: self._reservations.make(self._holder_id, n), self._follow, told=not self._untold,
        )  # fmt: skip
        self._folder = Folder()
        self._claimer = Claimer(
            self._claims, self._claim_thread, self._kinds, config.consumers, self._ledger,
            poll_max_s=config.poll_max_s, deliver=self._deliver, full=lambda: self._finisher.full,
            standing=self._standing, metrics=config.metrics, tracing=config.tracing,
        )  # fmt: skip
        base = slots
        for name, size in config.consumers.items():
            self._pools[name] = Consumers(
                size, self._report, self._threads, self._board, base, not self._untold, config.tracing
            )
            base += size
        self._pool_of = {kind: self._pools[pool_of(kind, config.consumers) or "*"] for kind in self._kinds}
        self._listener = Listener(target, self._heard)

    def _check_room(self) -> None:
        paged = any(kind.paged for kind in self._kinds.values())
        room.check(self.config.target, room.of_worker(sum(self.config.consumers.values()) if paged else 0))

    def _begin(self) -> None:
        for pool in self._pools.values():
            pool.start()
        if not self._kept_by_parent:
            self._beats = Beats(
                self.config.target, self.config.lease, lambda: [self._holder_id], self._beaten,
                lambda: {self._holder_id: self._standing},
            )  # fmt: skip
            self._beats.start()
        self._listener.start()
        self._tasks = [
            asyncio.create_task(self._guard(work), name=f"leasehold-{name}")
            for name, work in (("claim", self._claim()), ("finish", self._finisher.run()), ("sweep", self._sweep()))
        ]

    async def stop(self, timeout_s: float = 30.0) -> None:
        """Stop claiming, let running steps finish, interrupt what exceeds the time, give it back uncharged, leave.

        Takes at most `timeout_s` and about two seconds, also when the database is down. Stopping a worker that was
        not started does nothing; stopping it again waits for the first stop, and may shorten it.
        """
        if not self._started:
            return
        self._give_up_at = min(self._give_up_at, time.monotonic() + timeout_s)
        if self._stopping:
            self._idle.set()
            await self._stopped.wait()
            return
        self._stopping = True
        try:
            await self._wind_down()
        finally:
            self._close()
            self._stopped.set()

    async def wait(self) -> None:
        """Until the worker has stopped. Raises what it failed of, if it could not mend that."""
        if self._started:
            await self._stopped.wait()
        if self._failure is not None:
            raise self._failure

    async def __aenter__(self) -> Worker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def holder_id(self) -> int:
        """The holder it works as; 0 before it has joined."""
        return self._holder_id

    # -- the stop -----------------------------------------------------------------------------------------------------

    async def _wind_down(self) -> None:
        self._claimer.stop()
        await asyncio.wait(self._tasks[:1], timeout=min(1.0, max(0.0, self._give_up_at - time.monotonic())))
        self._tasks[0].cancel()
        self._page_stop.set()
        for pool in self._pools.values():
            for kind, lease in pool.take_waiting():
                self._report(kind, lease, None)
        await self._until_settled()
        for pool in self._pools.values():
            pool.interrupt("stopping")
        self._give_up_at = time.monotonic() + INTERRUPTED_S
        await self._until_settled()
        await asyncio.gather(*(pool.stop(0.1) for pool in self._pools.values()))
        for pool in self._pools.values():
            self._tell_times(pool)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=0.1)
        if self._beats is not None:
            self._beats.stop_soon()
        await self._leave()
        if self._tail is not None:
            await asyncio.to_thread(self._tail.stop, TAIL_S)

    async def _until_settled(self) -> None:
        """Until every lease is settled, or the time is up."""
        while not self._ledger.empty and (left_s := self._give_up_at - time.monotonic()) > 0:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), left_s)

    async def _leave(self) -> None:
        """Give everything back; without the database the reaper does it one TTL later."""
        line = Line(self.config.target, route="direct", application_name="leasehold leaves", patience_s=LEAVE_S / 2)
        thread = Threads(1, "leasehold-leaves")
        try:
            async with asyncio.timeout(LEAVE_S):
                self.counts.released += await self._in(thread, lambda: holders.leave(line, self._holder_id))
        except (*AWAY, LeaseholdError, TimeoutError) as error:
            log.warning("what this worker held could not be given back, the reaper will: %s", error)
        finally:
            line.close()
            thread.shutdown(wait=False, cancel_futures=True)

    def _close(self) -> None:
        """Threads and sessions; whatever is still in a call is woken and ends by itself."""
        for task in self._tasks:
            task.cancel()
        if self._beats is not None:
            self._beats.stop_soon()
        self._listener.stop()
        self._page_lines.close()
        for line in (self._claims, self._finishes):
            line.close()
        for executor in (self._claim_thread, self._finish_thread, self._threads):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            if self._stopping:
                return
            self._failure = error
            log.error("worker stops: %s", error, exc_info=not isinstance(error, LeaseholdError))  # noqa: TRY400
            gone = isinstance(error, HolderGone)
            if gone:
                self._ledger.lose_all()
                self._drop_lost()
            self._last_stop = asyncio.create_task(self.stop(0.2 if gone else 5.0))

    # -- claiming -----------------------------------------------------------------------------------------------------

    async def _claim(self) -> None:
        while True:
            try:
                return await self._claimer.run()
            except HolderGone:
                if self._kept_by_parent:
                    raise
                await self._join_again()

    async def _join_again(self) -> None:
        """This holder was reaped (the process slept, or the database was away): drop all it held and join anew."""
        log.warning("holder %s was reaped; what it held is dropped, joining again", self._holder_id)
        self._ledger.lose_all()
        self._drop_lost()
        while True:
            try:
                holder_id = await self._in(self._claim_thread, self._join)
            except AWAY as error:
                log.warning("cannot join, trying again: %s", error)
                await asyncio.sleep(0.5)
            else:
                self._holder_id = holder_id
                self._claimer.join(holder_id)
                await self._in(self._claim_thread, self._serve)
                return

    def _join(self) -> int:
        name = self.config.name or f"{socket.gethostname()}:{os.getpid()}"
        return holders.join(self._claims, kind="worker", name=name, ttl_s=self.config.lease.ttl_s)

    def _serve(self) -> None:
        """Say what it serves. Only who asks why a kind is not claimed reads it, so the work goes on without."""
        try:
            holders.serve(self._claims, self._holder_id, list(self._kinds))
            if self._drain is not None:
                holders.drain(self._claims, [self._holder_id], self._drain, by="as before it was reaped")
        except AWAY as error:
            log.warning("what this worker serves could not be said: %s", error)

    def _deliver(self, delivery: Delivery) -> None:
        lease, kind = delivery.lease, delivery.kind
        held = self._ledger.take(lease, kind, delivery.answered_s)
        self.counts.claimed += held.left
        self.config.metrics.leased(kind.name, held.left)
        if kind.paged:
            future = self._threads.submit(self._work_page, held, delivery)
            future.add_done_callback(lambda done: self._soon(self._page_over, held, delivery.leased, done))
        else:
            self._pool_of[kind.name].put(kind, delivery.leased)

    def _follow(self, reserved: Reserved, successors: Sequence[Successor], answered_s: float) -> None:
        """A finish brought what it had released."""
        self._reservations.give_back(reserved)
        if successors:
            self._standing.claimed_s = time.monotonic()
        for one in successors:
            brought = delivery(one.lease, self._kinds[one.kind], one.group_id, answered_s)
            if self._stopping:
                self._ledger.take(one.lease, brought.kind, answered_s)
                for lease in brought.leased:
                    self._report(brought.kind, lease, None)
            else:
                self._deliver(brought)

    # -- running ------------------------------------------------------------------------------------------------------

    def _report(self, kind: Kind, lease: StepLease, outcome: Outcome | None) -> None:
        """A single step has ended, was interrupted (None), or will not start (None)."""
        self._ledger.free(kind)
        self._finisher.add(kind, lease, outcome)
        if not kind.prefetch or self._ledger.in_consumers[kind.name] <= kind.prefetch // 2:
            self._claimer.wake()  # at once: a free consumer need not wait until the end of its last step is recorded

    def _work_page(self, held: Held, delivery: Delivery) -> Rest:
        slot = self._page_slots.pop()
        try:
            with self._page_lines.borrow() as line:
                page = Page(
                    held.kind, delivery.leased, line, board=self._board, slot=slot,
                    told=lambda ended, verdicts, ran_s: self._page_told(line, held, ended, verdicts, ran_s),
                    tracing=self.config.tracing, stopping=self._page_stop.is_set, taken_away=lambda token: held.lost,
                )  # fmt: skip
                rest = page.work()
            if (per_step_s := page.per_step_s) is not None:
                self._claimer.worked(delivery.lease.lane_id, per_step_s)
            return rest
        finally:
            self._page_slots.append(slot)

    def _page_told(
        self, line: Line, held: Held, ended: list[Ended], verdicts: list[Verdict], ran_s: list[float]
    ) -> None:
        recorded: list[Recorded] = [(*one, verdict) for one, verdict in zip(ended, verdicts, strict=True)]
        over = frozenset[tuple[int, int]]() if self._untold else given_up(line, recorded)
        self._soon(self._page_recorded, held, recorded, over, ran_s)
        self._folder.fold(line, {lease.group_id for lease, _ in ended})

    def _page_recorded(self, held: Held, recorded: list[Recorded], over: GivenUp, ran_s: list[float]) -> None:
        self._tally(recorded, (), over)
        self.config.metrics.ran(held.kind.name, ran_s)
        self._ledger.settle(held.token, len(recorded))
        self._claimer.news()

    def _page_over(self, held: Held, leased: list[StepLease], done: Future[Rest]) -> None:
        """The page has left its consumer. What it answers with is still to be recorded or given back."""
        self._ledger.free(held.kind)
        rest: Rest
        if done.cancelled():
            rest = [(lease, None) for lease in leased]
        elif (error := done.exception()) is not None:
            log.error("a page of '%s' broke: %s", held.kind.name, error, exc_info=error,
                      extra=about(StepLease(0, held.token, 0)))  # fmt: skip
            rest = [(lease, None) for lease in leased[len(leased) - held.left :]]
        else:
            rest = done.result()
        for lease, outcome in rest:
            self._finisher.add(held.kind, lease, outcome)
        self._claimer.wake()

    def _tally(self, recorded: Sequence[Recorded], released: Sequence[StepLease], over: GivenUp) -> None:
        """What was recorded, and what was given back. *over*: the errors among them that were their step's last."""
        lost = failed = 0
        for _, outcome, verdict in recorded:
            if verdict is Verdict.LOST:
                lost += 1
            elif isinstance(outcome, StepError):
                failed += 1
        ended = len(recorded) - lost
        self.counts.ended += ended
        self.counts.lost += lost
        self.counts.failed += failed
        self.counts.released += len(released)
        if self._board is not None:
            self._board.count(ended, failed)
        if not self._untold:
            self._tell(recorded, released, over)
        if (failed or lost) and log.isEnabledFor(logging.INFO):
            self._say_ends(recorded)

    def _say_ends(self, recorded: Sequence[Recorded]) -> None:
        for lease, outcome, verdict in recorded:
            kind, times = self._ledger.kind_of(lease.token), f"attempt {lease.attempt}"
            if verdict is Verdict.LOST:
                log.info("a '%s' step came too late, %s: it is somebody else's", kind, times, extra=about(lease))
            elif isinstance(outcome, StepError):
                log.info("a '%s' step erred, %s: %s", kind, times, outcome, extra=about(lease))

    def _tell_times(self, pool: Consumers) -> None:
        for kind, seconds in pool.take_times().items():
            self.config.metrics.ran(kind, seconds)

    def _tell(self, recorded: Sequence[Recorded], released: Sequence[StepLease], over: GivenUp) -> None:
        metrics, kind_of = self.config.metrics, self._ledger.kind_of
        plain, rest = [], []
        for one in recorded:
            if type(one[1]) is Done and one[2] is not Verdict.LOST:
                plain.append(one[0].token)
            else:
                rest.append(one)
        for token, n in Counter(plain).items():
            metrics.ended(kind_of(token), SUCCEEDED, n)
        ends = Counter((lease.token, outcome_word(lease, outcome, verdict, over)) for lease, outcome, verdict in rest)
        ends.update((lease.token, RELEASED) for lease in released)
        for (token, word), n in ends.items():
            metrics.ended(kind_of(token), word, n)
        late = Counter(lease.token for lease, outcome, verdict in rest if timed_out(outcome, verdict))
        for token, n in late.items():
            metrics.timed_out(kind_of(token), n)

    # -- what the heartbeat and the listener say ----------------------------------------------------------------------

    def beaten(self, sent_s: float, kept: Kept | None) -> None:
        """A heartbeat was answered: what was leased before it was sent and is not in *kept* was taken away.

        None: the holder itself has ended. Called on any thread.
        """
        self._soon(self._compare, self._holder_id, sent_s, kept)

    def _beaten(self, sent_s: float, ids: list[int], living: dict[int, Kept]) -> None:
        for holder_id in ids:
            self._soon(self._compare, holder_id, sent_s, living.get(holder_id))

    def _compare(self, holder_id: int, sent_s: float, kept: Kept | None) -> None:
        if holder_id != self._holder_id:
            return
        if self._ledger.compare(sent_s, kept):
            self._drop_lost()
        if kept is not None:
            self._heed(kept.drain)
        if kept is None and not self._stopping:
            self._claimer.gone()

    def _heed(self, drain: str | None) -> None:
        """Claim no more, or claim again, as the heartbeat says."""
        if drain == self._drain:
            return
        self._drain = drain
        log.info("worker %d %s", self._holder_id, "is drained: it claims no more" if drain else "claims again")
        self._claimer.drain(drain is not None)
        if drain == holders.END:
            self._last_stop = asyncio.create_task(self._end_when_empty())

    async def _end_when_empty(self) -> None:
        """Finish what is held, then stop, unless the drain is taken back meanwhile."""
        while not (self._ledger.empty and not self._claimer.asking):
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), SWEEP_EVERY_S)
            if self._drain != holders.END or self._stopping:
                return
        await self.stop()

    def _drop_lost(self) -> None:
        for pool in self._pools.values():
            pool.interrupt("lost", self._ledger.gone)
            for kind, lease in pool.take_waiting(self._ledger.gone):
                self._report(kind, lease, None)
        self._claimer.wake()

    def _heard(self) -> None:
        """A notification arrived (on the listener's thread)."""
        self._soon(self._claimer.heard)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self._standing.pulsed_s = time.monotonic()
            if self._board is not None:
                self._board.pulse()
                self._board.stand(self._standing)
            for pool in self._pools.values():
                pool.sweep()
                self._tell_times(pool)
            self._give_up_what_hangs()

    def _give_up_what_hangs(self) -> None:
        self._claims.give_up_if_hung(CLAIM_HANGS_S)
        for line in (self._finishes, *self._page_lines.borrowed):
            line.give_up_if_hung(RECORD_HANGS_S)

    # -- small things -------------------------------------------------------------------------------------------------

    def _nothing_held(self) -> None:
        self._idle.set()
        self._claimer.wake()

    def _news(self) -> None:
        self._claimer.news()

    def _soon(self, call: Callable[..., object], *args: Any) -> None:
        """On the loop's thread; nothing when the loop has gone: the process, or the user's program, is ending."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    async def _in(self, executor: Threads, call: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(executor, call)
