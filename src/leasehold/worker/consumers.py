"""Consumers: the slots in which single steps run. Each is a task that takes the next step of its pool from a queue.

Lean on purpose: no task, no timer and no lock per step. A consumer parks on a future only when its queue is empty; one
sweeper looks at all running steps ten times a second and interrupts those whose time is up or whose lease is lost.

An interruption is a cancellation of the consumer's task, and ends with the step: whatever the function made of it (let
it through, swallowed it, answered after all), the next step of the slot starts uncancelled. A function that ignores it
keeps its slot, and is told again every second. A plain function cannot be interrupted: its time being up is recorded,
its slot stays taken until it returns, and what it returns is dropped; under a keeper the process is ended instead.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from leasehold.kernel.ends import OUTCOMES, failure
from leasehold.logs import ABOUT, about
from leasehold.types import Done, ErrorClass, Outcome, StepError, StepLease
from leasehold.worker.board import Board
from leasehold.worker.kinds import Kind
from leasehold.worker.threads import Threads
from leasehold.worker.tracing import Tracing

log = logging.getLogger("leasehold.worker")

Report = Callable[[Kind, StepLease, Outcome | None], None]
"""Called with how a step ended; None: it was interrupted, because of a stop or a lost lease, and is not recorded."""

DONE = Done()
YIELD_EVERY_S = 0.002
"""How long a consumer goes on with steps that never wait before it lets the others have the loop."""
AGAIN_S = 1.0


@dataclass(slots=True, eq=False)
class Running:
    """A step in a slot. `why` it was interrupted ("": it was not), and when it was last told."""

    kind: Kind
    lease: StepLease
    started_s: float
    why: str = ""
    told_s: float = 0.0
    over: bool = False
    """What it returns will not count. Set for plain functions too, which run on."""

    def is_over(self) -> bool:
        return self.over


class Consumers:
    """The consumers of one pool.

    Args:
        size: how many steps run at once.
        report: told about every step that was taken from the queue, exactly once, unless the pool was stopped.
        board: where running steps are shown to a keeper; None without one.
        timed: whether anybody asks for how long steps were at work.
        tracing: told when a step begins and ends.
    """

    def __init__(
        self,
        size: int,
        report: Report,
        threads: Threads,
        board: Board | None,
        slot_base: int,
        timed: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self.size = size
        self.waiting: deque[tuple[Kind, StepLease]] = deque()
        self._report = report
        self._threads = threads
        self._board = board
        self._slot_base = slot_base
        self._tracing = tracing
        self._ran_s: defaultdict[str, list[float]] | None = defaultdict(list) if timed else None
        self._parked: list[asyncio.Future[None]] = []
        self._running: list[Running | None] = [None] * size
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = self._deaf = False

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._consume(slot)) for slot in range(self.size)]

    def put(self, kind: Kind, leases: list[StepLease]) -> None:
        self.waiting.extend([(kind, lease) for lease in leases])
        for _ in range(min(len(self._parked), len(leases))):
            parked = self._parked.pop()
            if not parked.done():
                parked.set_result(None)

    def take_waiting(self, lost: Callable[[StepLease], bool] | None = None) -> list[tuple[Kind, StepLease]]:
        """Take out of the queue what has not started: all of it, or what is `lost`."""
        taken = [entry for entry in self.waiting if lost is None or lost(entry[1])]
        kept = [entry for entry in self.waiting if lost is not None and not lost(entry[1])]
        self.waiting.clear()
        self.waiting.extend(kept)
        return taken

    def interrupt(self, why: str, lost: Callable[[StepLease], bool] | None = None) -> None:
        """Interrupt running async steps: all of them, or those whose lease is `lost`. Plain functions are told, if they
        are watched, and run on."""
        for slot, running in enumerate(self._running):
            if running is not None and (lost is None or lost(running.lease)):
                running.over = True
                if running.kind.is_async:
                    self._interrupt(slot, running, why)

    def take_times(self) -> Mapping[str, list[float]]:
        """For how long steps were at work since this was asked last, by kind; empty unless it is `timed`."""
        if not self._ran_s:
            return {}
        taken = dict(self._ran_s)
        self._ran_s.clear()
        return taken

    def sweep(self) -> None:
        """Interrupt steps whose time is up, and tell those again that did not listen."""
        now = time.monotonic()
        for slot, running in enumerate(self._running):
            if running is None:
                continue
            if not running.why and now - running.started_s > running.kind.timeout_s:
                if running.kind.is_async or self._board is None:
                    self._interrupt(slot, running, "timeout")
            elif running.why and running.kind.is_async and now - running.told_s > AGAIN_S:
                log.warning("a '%s' step ignores that it was interrupted (%s)", running.kind.name, running.why,
                            extra=about(running.lease))  # fmt: skip
                self._interrupt(slot, running, running.why)

    def _interrupt(self, slot: int, running: Running, why: str) -> None:
        running.why = running.why or why
        running.told_s = time.monotonic()
        running.over = True
        self._tasks[slot].cancel()

    async def stop(self, within_s: float) -> None:
        """End the consumers. What still runs after *within_s* is left behind, and nothing is reported about it."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        self._deaf = True

    # -- one consumer -------------------------------------------------------------------------------------------------

    async def _consume(self, slot: int) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        board, board_slot, ran_s, tracing = self._board, self._slot_base + slot, self._ran_s, self._tracing
        yielded_s = time.monotonic()
        while not self._stopping:
            if not self.waiting:
                parked = loop.create_future()
                self._parked.append(parked)
                await parked
                yielded_s = time.monotonic()
                continue
            kind, lease = self.waiting.popleft()
            running = self._running[slot] = Running(kind, lease, time.monotonic())
            ABOUT.set(lease)
            span = None if tracing is None else tracing.begin(kind.name, lease)
            if board is not None:
                board.begin(board_slot, lease.token, lease.step_id, kind.timeout_s)
            thread = None if kind.is_async else self._in_thread(running)
            outcome = await self._outcome(running, task, thread)
            self._running[slot] = None
            if tracing is not None:
                tracing.end(span, outcome)
            ABOUT.set(None)
            if board is not None:
                board.end(board_slot)
            if ran_s is not None:
                ran_s[kind.name].append(time.monotonic() - running.started_s)
            if not self._deaf:
                self._report(kind, lease, outcome)
            if thread is not None and not thread.done() and not self._stopping:
                await asyncio.wait([thread])  # nobody else may have the slot before the function has returned
            if running.started_s - yielded_s > YIELD_EVERY_S:
                await asyncio.sleep(0)
                yielded_s = time.monotonic()

    def _in_thread(self, running: Running) -> asyncio.Future[Any]:
        assert running.kind.run is not None
        within = contextvars.copy_context()  # what its thread logs is about this step, too
        return asyncio.wrap_future(self._threads.submit(within.run, running.kind.run, *_arguments(running)))

    async def _outcome(
        self, running: Running, task: asyncio.Task[None], thread: asyncio.Future[Any] | None
    ) -> Outcome | None:
        """Run the step to its end, whatever that is; None when it was interrupted for a reason not its own."""
        kind = running.kind
        outcome: Outcome | None
        try:
            if thread is not None:
                answer = await asyncio.shield(thread)
            else:
                assert kind.run is not None
                answer = await kind.run(*_arguments(running))
        except asyncio.CancelledError as error:
            if not running.why and not task.cancelling():
                return failure(error)  # somebody else's cancellation, which the function let through
            outcome = timed_out(kind) if running.why == "timeout" else None
        except (Exception, SystemExit) as error:
            outcome = failure(error)
        else:
            outcome = DONE if answer is None else answer if isinstance(answer, OUTCOMES) else Done(answer)
        if running.why:
            while task.cancelling():
                task.uncancel()
        elif task.cancelling():
            self._stopping = True  # the loop is closing down, and not by our stop
        return outcome


def _arguments(running: Running) -> tuple[Any, ...]:
    return (running.lease, running.is_over) if running.kind.watched else (running.lease,)


def timed_out(kind: Kind) -> StepError:
    return StepError(
        "timeout",
        f"it ran longer than {kind.timeout_s:g} s",
        error_class=ErrorClass.TIMEOUT,
        remedy=f"Raise the timeout of kind '{kind.name}' if it needs more.",
    )
