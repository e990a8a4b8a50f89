"""Consumers: the slots in which single steps run. Each is a task that takes the next step of its pool from a queue.

Lean on purpose: no task, no timer and no lock per step. A consumer parks on a future only when its queue is empty; one
sweeper looks at all running steps ten times a second and interrupts those whose time is up or whose lease is lost.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease
from leasehold.worker.board import Board
from leasehold.worker.kinds import Kind

Report = Callable[[Kind, StepLease, Outcome | None], None]
"""Called with how a step ended; None: it was interrupted, because of a stop or a lost lease, and is not recorded."""

OUTCOMES = (Done, Skip, Snooze, StepError)


class Consumers:
    """The consumers of one pool.

    Args:
        size: how many steps run at once.
        report: told about every step that was taken from the queue, exactly once.
        board: where running steps are shown to a keeper; None without one.
    """

    def __init__(self, size: int, report: Report, threads: Executor, board: Board | None, slot_base: int) -> None:
        self.size = size
        self.waiting: deque[tuple[Kind, StepLease]] = deque()
        self._report = report
        self._threads = threads
        self._board = board
        self._slot_base = slot_base
        self._parked: list[asyncio.Future[None]] = []
        self._running: list[tuple[Kind, StepLease, float] | None] = [None] * size
        self._why: list[str] = [""] * size
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._consume(slot)) for slot in range(self.size)]

    def put(self, kind: Kind, leases: list[StepLease]) -> None:
        self.waiting.extend((kind, lease) for lease in leases)
        for _ in range(min(len(self._parked), len(leases))):
            parked = self._parked.pop()
            if not parked.done():
                parked.set_result(None)

    @property
    def running(self) -> int:
        return sum(entry is not None for entry in self._running)

    def take_waiting(self) -> list[StepLease]:
        """Empty the queue; what was in it has not started."""
        taken = [lease for _, lease in self.waiting]
        self.waiting.clear()
        return taken

    def interrupt(self, why: str, lost: Callable[[StepLease], bool] | None = None) -> None:
        """Interrupt running async steps: all of them, or those whose lease is `lost`. Plain functions run on."""
        for slot, entry in enumerate(self._running):
            if entry is not None and entry[0].is_async and (lost is None or lost(entry[1])):
                self._why[slot] = why
                self._tasks[slot].cancel()

    def sweep(self) -> None:
        """Interrupt steps whose time is up."""
        now = time.monotonic()
        for slot, entry in enumerate(self._running):
            if entry is not None and entry[0].is_async and now - entry[2] > entry[0].timeout_s:
                self._why[slot] = "timeout"
                self._tasks[slot].cancel()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _consume(self, slot: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self.waiting:
                parked = loop.create_future()
                self._parked.append(parked)
                await parked
                continue
            kind, lease = self.waiting.popleft()
            self._running[slot] = (kind, lease, time.monotonic())
            if self._board is not None:
                self._board.begin(self._slot_base + slot, lease.token, lease.step_id, kind.timeout_s)
            outcome: Outcome | None
            try:
                assert kind.run is not None
                if kind.is_async:
                    answer = await kind.run(lease)
                else:
                    answer = await loop.run_in_executor(self._threads, kind.run, lease)
                outcome = answer if isinstance(answer, OUTCOMES) else Done(answer)
            except asyncio.CancelledError:
                why, self._why[slot] = self._why[slot], ""
                if not why:
                    self._running[slot] = None
                    self._report(kind, lease, None)
                    raise
                task = asyncio.current_task()
                if task is not None:
                    task.uncancel()
                outcome = timed_out(kind) if why == "timeout" else None
            except Exception as error:
                outcome = failure(error)
            self._running[slot] = None
            if self._board is not None:
                self._board.end(self._slot_base + slot)
            self._report(kind, lease, outcome)


def timed_out(kind: Kind) -> StepError:
    return StepError(
        "timeout",
        f"it ran longer than {kind.timeout_s:g} s",
        error_class=ErrorClass.TIMEOUT,
        remedy=f"Raise the timeout of kind '{kind.name}' if it needs more.",
    )


def failure(error: Exception) -> StepError:
    """The StepError for whatever a step raised: its own if it raised one, else transient with the trace's end."""
    if isinstance(error, StepError):
        return error
    trace = "".join(traceback.format_exception(error))
    return StepError(type(error).__name__, trace[-1800:], error_class=ErrorClass.TRANSIENT)
