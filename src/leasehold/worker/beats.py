"""Beats: the heartbeat, and the duties every keeper and embedded worker shares.

Heartbeat: one request keeps all holders of a process. `confirmed_s` is the monotonic time sampled *before* the last
request that the database confirmed; what it confirmed lasts at least until `confirmed_s + ttl_s`.

Duties, without a leader: promote what is due, fold group counts, reap dead holders, take back leases past their
deadline, sweep cancelled groups. Each may run in many processes at once; the SQL skips what another one does. A process
that was itself disconnected within the last TTL does not reap: the first one back after an outage would reap everybody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable
from leasehold.kernel import groups, holders, steps
from leasehold.options import LeaseOptions

log = logging.getLogger("leasehold.worker")

TICK_S = 0.2
FOLD_EVERY_S = 1.0


class Duties:
    """What must be done by somebody, whoever is alive. Call `tick` a few times a second."""

    def __init__(self, session: Session, lease: LeaseOptions) -> None:
        self._session = session
        self._lease = lease
        self._fold_at = self._reap_at = 0.0
        self._reap_every_s = min(1.0, lease.ttl_s / 4)
        self.reaped: list[holders.Ended] = []

    def tick(self, callers: list[int]) -> None:
        now = time.monotonic()
        moved, _ = steps.promote(self._session)
        if now >= self._fold_at:
            self._fold_at = now + FOLD_EVERY_S
            groups.fold_all(self._session)
            moved += groups.sweep_cancelled(self._session)
        if now >= self._reap_at:
            self._reap_at = now + self._reap_every_s
            moved += self._reap(callers)
        if moved:
            groups.wake(self._session)

    def _reap(self, callers: list[int]) -> int:
        if time.monotonic() - self._session.connected_at_s < self._lease.ttl_s and self._session.reconnects:
            return 0
        reaped = holders.reap(self._session, callers=callers)
        for ended in reaped:
            log.warning("holder %s (%s) stopped its heartbeat; %d steps given back", ended.holder_id, ended.name,
                        len(ended.returned))
        self.reaped.extend(reaped)
        return sum(len(ended.returned) + 1 for ended in reaped) + len(holders.expire_leases(self._session))


class Beats:
    """Two threads: one heartbeats, one does the duties; neither waits for the other.

    Args:
        holder_ids: asked before each heartbeat: the holders to keep.
        on_beat: told after each heartbeat: when it was sent, and for each living holder its tokens.
    """

    def __init__(
        self,
        target: Target,
        lease: LeaseOptions,
        holder_ids: Callable[[], list[int]],
        on_beat: Callable[[float, list[int], dict[int, frozenset[int]]], None],
    ) -> None:
        self._lease = lease
        self._holder_ids = holder_ids
        self._on_beat = on_beat
        self._stopping = threading.Event()
        self._beat_session = Session(target, application_name="leasehold heartbeat", patience_s=lease.heartbeat_s)
        self._duty_session = Session(target, application_name="leasehold duties", patience_s=lease.heartbeat_s)
        self.duties = Duties(self._duty_session, lease)
        self.confirmed_s = time.monotonic()
        self._threads = [
            threading.Thread(target=self._beat_loop, name="leasehold-heartbeat", daemon=True),
            threading.Thread(target=self._duty_loop, name="leasehold-duties", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads; at most a second, a call in flight included."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=1.0)
        self._beat_session.close()
        self._duty_session.close()

    def beat(self) -> None:
        """One heartbeat now."""
        ids = self._holder_ids()
        sent_s = time.monotonic()
        living = holders.heartbeat(self._beat_session, ids) if ids else {}
        self.confirmed_s = sent_s
        self._on_beat(sent_s, ids, living)

    def _beat_loop(self) -> None:
        while not self._stopping.wait(self._lease.heartbeat_s):
            try:
                self.beat()
            except Exception as error:  # the heartbeat must outlive whatever one of its requests met
                self._complain("heartbeat", error)

    def _duty_loop(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self.duties.tick(self._holder_ids())
            except Exception as error:  # as above: said, counted as missed, tried again
                self._complain("duties", error)

    def _complain(self, what: str, error: Exception) -> None:
        if not self._stopping.is_set():
            level = logging.WARNING if isinstance(error, DatabaseUnavailable) else logging.ERROR
            log.log(level, "%s failed, trying again: %s", what, error)
