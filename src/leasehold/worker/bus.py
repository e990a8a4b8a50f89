"""The lifecycle bus: observers in this process hear what happens, and can hold nothing up.

An observer is a function, plain or async, that is given an `Event`. Each has a thread and a bounded queue of its own:
`publish` puts an event there and returns. When a queue is full its oldest event is dropped and counted, so a slow
observer hears late and not of everything, and neither steps nor other observers wait for it. What an observer raises is
logged and counted, and it goes on with the next event. An observer hears events in the order in which they were
published, so those of one run in their order.

Lossy by contract: what must be done belongs into a hook. Async observers are awaited in a loop of their own thread,
never in the worker's; to get back into another loop use its `call_soon_threadsafe`. An observer that keeps the
interpreter for itself in one long call keeps it from everything in this process, as any thread does.

Not here: where events come from (`tail`).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from leasehold.errors import UsageError
from leasehold.kernel.hooks import STEP_EVENTS
from leasehold.types import Event

log = logging.getLogger("leasehold.worker")

QUEUE_MAX = 1000
Observer = Callable[[Event], Any]


class Subscription:
    """One observer on a bus. The counts may be read at any time, on any thread."""

    def __init__(self, observer: Observer, events: frozenset[str] | None, name: str, queue_max: int) -> None:
        self.name = name
        self.heard = 0
        """Events that the observer was given and returned from."""
        self.dropped = 0
        """Events that its full queue had no place for."""
        self.failed = 0
        """Events for which it raised."""
        self.events = events
        self._observer = observer
        self._queue: deque[Event] = deque()
        self._queue_max = queue_max
        self._changed = threading.Condition()
        self._closing = self._busy = False
        self._thread = threading.Thread(target=self._work, name=f"leasehold-observer-{name}", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        if self.events is not None and event.name not in self.events:
            return
        with self._changed:
            if self._closing:
                return
            if len(self._queue) >= self._queue_max:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(event)
            self._changed.notify()

    def close(self, within_s: float = 0.0) -> None:
        """Take no more; hear what is queued, for *within_s* at most, then drop the rest. Never waits longer."""
        give_up_at = time.monotonic() + within_s
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._queue or self._busy), max(0.0, give_up_at - time.monotonic()))
            self.dropped += len(self._queue)
            self._queue.clear()

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            while (event := self._next()) is not None:
                try:
                    answer = self._observer(event)
                    if inspect.isawaitable(answer):
                        runner.run(_waited(answer))
                    self.heard += 1
                except (Exception, SystemExit) as error:
                    self.failed += 1
                    log.warning("observer %s failed at %s, %d times so far: %s", self.name, event.name, self.failed,
                                error, exc_info=self.failed == 1)  # fmt: skip
                finally:
                    with self._changed:
                        self._busy = False
                        self._changed.notify_all()

    def _next(self) -> Event | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return None
            self._busy = True
            return self._queue.popleft()


async def _waited(answer: Any) -> None:
    await answer


class LifecycleBus:
    """Give one to a worker or an ingest: `WorkerConfig(bus=...)`. Observers may come and go at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self.missed = 0
        """Events that nobody heard, because the process was too far behind to read them all."""

    def subscribe(
        self, observer: Observer, *, events: Sequence[str] | None = None, name: str = "", queue_max: int = QUEUE_MAX
    ) -> Subscription:
        """Let *observer* hear what happens from now on.

        Args:
            events: only these; None: whatever is written. Events of steps are written where somebody subscribed; to
                name them here subscribes to them, for every group that is open or opened while the bus is in use.
            queue_max: events that may wait for this observer.
        """
        if queue_max < 1:
            raise UsageError(f"queue_max={queue_max} must be at least 1.")
        if isinstance(events, str):
            events = [events]
        wanted = None if events is None else frozenset(events)
        one = Subscription(observer, wanted, name or getattr(observer, "__name__", "observer"), queue_max)
        with self._lock:
            self._subscriptions = (*self._subscriptions, one)
        return one

    def unsubscribe(self, subscription: Subscription) -> None:
        """It hears no more; what was queued for it is dropped."""
        with self._lock:
            self._subscriptions = tuple(one for one in self._subscriptions if one is not subscription)
        subscription.close()

    def publish(self, event: Event) -> None:
        """Tell every observer; returns at once."""
        for one in self._subscriptions:
            one.put(event)

    def close(self, within_s: float = 1.0) -> None:
        """End all observers; they hear what is queued, for *within_s* in all at most."""
        give_up_at = time.monotonic() + within_s
        with self._lock:
            closing, self._subscriptions = self._subscriptions, ()
        for one in closing:
            one.close(max(0.0, give_up_at - time.monotonic()))

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        return self._subscriptions

    @property
    def step_events(self) -> frozenset[str]:
        """Events of steps that an observer names."""
        named: frozenset[str] = frozenset()
        for one in self._subscriptions:
            named |= one.events or frozenset()
        return named & frozenset(STEP_EVENTS)
