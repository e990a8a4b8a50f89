"""Beats: the heartbeat, and the duties every keeper and embedded worker shares.

Heartbeat: one request keeps all holders of a process. `confirmed_s` is the monotonic time sampled *before* the last
request that the database confirmed; what it confirmed lasts at least until `confirmed_s + ttl_s`. A request that hangs
is given up (cancelled, its socket cut) after one heartbeat's interval, and the next one works.

Duties, without a leader: promote what is due, fold group counts, reap dead holders, take back leases past their
deadline, sweep cancelled groups. Each may run in many processes at once; the SQL skips what another one does.

Who may reap: a process that has heard from the database without a gap for the last TTL. After an outage every holder
looks expired, and the first one back would reap everybody; a gap of half a TTL is the shortest that can make a living
holder look so, since heartbeats come at least twice in a TTL. A process that has just started cannot know: for its
first TTL it reaps only while every holder that looks expired has been so for another TTL, as when all were killed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from leasehold.db.line import Line
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable
from leasehold.kernel import groups, holders, steps
from leasehold.kernel.holders import Kept
from leasehold.options import LeaseOptions
from leasehold.worker.silence import Watch
from leasehold.worker.snapshots import SnapshotWatch
from leasehold.worker.standing import Standing

log = logging.getLogger("leasehold.worker")

TICK_S = 0.2
FOLD_EVERY_S = 1.0
HANGS_S = 10.0
"""A duty that takes longer than this is given up; it is tried again, by somebody."""


class Duties:
    """What must be done by somebody, whoever is alive. Call `tick` a few times a second."""

    def __init__(self, line: Line, lease: LeaseOptions, look: Callable[[Line], None] | None = None) -> None:
        self._line = line
        self._lease = lease
        self._fold_at = self._reap_at = 0.0
        self._reap_every_s = min(1.0, lease.ttl_s / 4)
        self._look = look
        self._began_s = time.monotonic()
        self._answered_s: float | None = None
        self._gap_s = float("-inf")
        self._reconnects = 0
        self.reaped = 0
        self.given_back = {"reaped": 0, "deadline": 0}
        self.charged = {"reaped": 0}

    def tick(self, callers: list[int]) -> None:
        now = time.monotonic()
        moved, _ = steps.promote(self._line)
        self._answered()
        if now >= self._fold_at:
            self._fold_at = now + FOLD_EVERY_S
            groups.fold_all(self._line)
            moved += groups.sweep_cancelled(self._line)
            if self._look is not None:
                self._look(self._line)
        if now >= self._reap_at and self.may_reap:
            self._reap_at = now + self._reap_every_s
            moved += self._reap(callers)
        if moved:
            groups.wake(self._line)

    @property
    def may_reap(self) -> bool:
        return time.monotonic() - self._gap_s >= self._lease.ttl_s

    def _answered(self) -> None:
        """The database has answered: was there a gap before?"""
        now = time.monotonic()
        late = self._answered_s is not None and now - self._answered_s > self._lease.ttl_s / 2
        if late or self._line.reconnects != self._reconnects:
            self._gap_s, self._reconnects = now, self._line.reconnects
        self._answered_s = now

    def _reap(self, callers: list[int]) -> int:
        reaped = [] if self._too_new_to_tell(callers) else holders.reap(self._line, callers=callers)
        for ended in reaped:
            log.warning("holder %s (%s) stopped its heartbeat; %d steps given back", ended.holder_id, ended.name,
                        len(ended.returned))  # fmt: skip
        expired = len(holders.expire_leases(self._line))
        self.reaped += len(reaped)
        self.given_back["reaped"] += sum(len(ended.returned) for ended in reaped)
        self.given_back["deadline"] += expired
        self.charged["reaped"] += sum(ended.charged is not None for ended in reaped)
        return sum(len(ended.returned) + 1 for ended in reaped) + expired

    def _too_new_to_tell(self, callers: list[int]) -> bool:
        """Whether somebody went silent shortly before this process came, perhaps by an outage that ends right now."""
        ttl_s = self._lease.ttl_s
        if time.monotonic() - self._began_s >= ttl_s:
            return False
        return any(
            one.expired and one.heard_s < 2 * ttl_s and one.holder_id not in callers
            for one in holders.living(self._line)
        )


class Beats:
    """Two threads: one heartbeats, one does the duties; neither waits for the other. A third ends calls that hang.

    Args:
        holder_ids: asked before each heartbeat: the holders to keep.
        standings: asked by the watch for silence: how the claiming of each of them stands.
        look: called with the duties' session once a second, after them.
        on_beat: told after each heartbeat: when it was sent, for which holders, and what those that live still hold.
    """

    def __init__(
        self,
        target: Target,
        lease: LeaseOptions,
        holder_ids: Callable[[], list[int]],
        on_beat: Callable[[float, list[int], dict[int, Kept]], None],
        standings: Callable[[], Mapping[int, Standing]],
        look: Callable[[Line], None] | None = None,
    ) -> None:
        self._lease = lease
        self._holder_ids = holder_ids
        self._on_beat = on_beat
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._beat_line = Line(
            target, route="direct", application_name="leasehold heartbeat", patience_s=lease.heartbeat_s
        )
        self._duty_line = Line(
            target, route="direct", application_name="leasehold duties", patience_s=lease.heartbeat_s
        )
        self._bounds = ((self._beat_line, lease.heartbeat_s), (self._duty_line, max(HANGS_S, lease.heartbeat_s)))
        self.duties = Duties(self._duty_line, lease, look)
        self._watch = Watch(self._duty_line, standings)
        self._snapshots = SnapshotWatch(self._duty_line)
        self.confirmed_s = time.monotonic()
        loops = {"heartbeat": self._beat_loop, "duties": self._duty_loop, "bounds": self._bound_loop}
        self._threads = [
            threading.Thread(target=loop, name=f"leasehold-{name}", daemon=True) for name, loop in loops.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def hurry(self) -> None:
        """Send the next heartbeat now."""
        self._hurry.set()

    def stop_soon(self) -> None:
        """End the threads without waiting for them; a call in flight is given up."""
        self._stopping.set()
        self._hurry.set()
        self._beat_line.close()
        self._duty_line.close()

    def stop(self) -> None:
        """End the threads; at most a second."""
        self.stop_soon()
        give_up_at = time.monotonic() + 1.0
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=max(0.0, give_up_at - time.monotonic()))

    def beat(self) -> None:
        """One heartbeat now."""
        ids = self._holder_ids()
        if ids:
            sent_s = time.monotonic()
            living = holders.heartbeat(self._beat_line, ids)
            self.confirmed_s = sent_s
            self._on_beat(sent_s, ids, living)

    def _beat_loop(self) -> None:
        while not self._stopping.is_set():
            self._hurry.wait(self._lease.heartbeat_s)
            self._hurry.clear()
            if not self._stopping.is_set():
                self._try("heartbeat", self.beat)

    def _duty_loop(self) -> None:
        while not self._stopping.wait(TICK_S):
            self._try("duties", lambda: self.duties.tick(self._holder_ids()))
            self._try("the watch for silence", self._watch.look)
            self._try("the watch for old snapshots", self._snapshots.look)

    def _bound_loop(self) -> None:
        look_every_s = min(0.5, self._lease.heartbeat_s / 4)
        while not self._stopping.wait(look_every_s):
            for line, bound_s in self._bounds:
                since_s = line.busy_since_s
                if since_s and time.monotonic() - since_s > bound_s:
                    log.warning("a call of %s hangs and is given up", line.application_name)
                    line.give_up()

    def _try(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # they must outlive whatever one of their requests met
            if not self._stopping.is_set():
                level = logging.WARNING if isinstance(error, DatabaseUnavailable) else logging.ERROR
                log.log(level, "%s failed, trying again: %s", what, error)
