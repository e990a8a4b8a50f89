"""The tail: a thread that reads the outbox from its end and publishes on a bus what it finds.

It has a session of its own and reads a page at a time with a pause between, so it costs the same little however much
happens; when it falls far behind it goes on from near the end and counts what it left out. It hears what every process
does with this database, not only this one.

An id that is missing between others may be of a transaction that has not committed: it is asked for again for a while.
Events of one run become visible in their order, so none of them is published after a later one.

Without observers it asks nothing. What can fail: the database may be away; the tail goes on from where it was.
"""

from __future__ import annotations

import logging
import threading
import time

from leasehold.db.line import Line
from leasehold.db.target import Target
from leasehold.kernel import events, groups, hooks
from leasehold.worker.bus import LifecycleBus

log = logging.getLogger("leasehold.worker")

LOOK_EVERY_S = 0.25
NEXT_PAGE_S = 0.1
PAGE = 1000
BEHIND_MAX = 10_000
MISSING_S = 10.0
MISSING_MAX = 1000


class Tail:
    """Publishes on *bus* what happens from `start` to `stop`."""

    def __init__(self, target: Target, bus: LifecycleBus) -> None:
        self._bus = bus
        self._line = Line(target, application_name="leasehold observers", patience_s=2.0)
        self._stopping = threading.Event()
        self._position: int | None = None
        self._missing: dict[int, float] = {}
        self._subscribed: frozenset[str] = frozenset()
        self._thread = threading.Thread(target=self._work, name="leasehold-tail", daemon=True)

    def start(self) -> None:
        """From now on; events that are there already are not published. Raises when the database cannot be asked."""
        self._position = events.last(self._line)
        self._thread.start()

    def stop(self, within_s: float = 2.0) -> None:
        """Publish what has happened so far, and end; within *within_s*."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(within_s)
        self._line.close()

    def _work(self) -> None:
        full = False
        while not self._stopping.wait(NEXT_PAGE_S if full else LOOK_EVERY_S):
            full = self._try()
        while self._try():
            pass

    def _try(self) -> bool:
        try:
            return self.look()
        except Exception as error:  # whatever one look met, the next one goes on from there
            log.debug("observers hear nothing for now: %s", error)
            return False

    def look(self) -> bool:
        """Publish what is new; True if there is more."""
        if not self._bus.subscriptions:
            self._position = None
            return False
        if self._position is None:
            self._position = events.last(self._line)
            return False
        self._subscribe(self._bus.step_events)
        now = time.monotonic()
        self._missing = {one: until for one, until in self._missing.items() if until > now}
        found = events.after(self._line, self._position, missing=self._missing, limit=PAGE)
        behind = [one.event_id for one in found if one.event_id > self._position]
        for event in found:
            self._missing.pop(event.event_id, None)
            if event.name == "group_start" and event.group_id is not None and self._subscribed:
                hooks.subscribe(self._line, event.group_id, sorted(self._subscribed))
            self._bus.publish(event)
        if behind:
            self._remember(behind, now + MISSING_S)
            self._position = behind[-1]
        if len(behind) < PAGE:
            return False
        newest = events.last(self._line)
        if newest - self._position > BEHIND_MAX:
            self._bus.missed += newest - PAGE - self._position
            self._position = newest - PAGE
        return True

    def _remember(self, seen: list[int], until: float) -> None:
        """The ids that are not there between the last position and the newest seen."""
        assert self._position is not None
        there = set(seen)
        if seen[-1] - self._position - len(there) <= MISSING_MAX - len(self._missing):
            for one in range(self._position + 1, seen[-1]):
                if one not in there:
                    self._missing[one] = until

    def _subscribe(self, wanted: frozenset[str]) -> None:
        if not wanted <= self._subscribed:
            for group_id in groups.open_ids(self._line):
                hooks.subscribe(self._line, group_id, sorted(wanted))
        self._subscribed = wanted
