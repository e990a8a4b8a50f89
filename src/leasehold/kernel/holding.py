"""Holding: a seat for the length of a block, for programs that have no worker.

    with hold(session, "rag:/data/kb", wait_s=60) as seat:
        ...                                   # nobody else writes this index, here or on any other machine
        seat.check()                          # raises SeatLost once it is no longer so

The block's process is a holder of its own, kept by a thread with a connection of its own: one heartbeat every
`heartbeat_s`. The thread also tells: `seat.lost` is set once the seat was broken or its holder reaped, and, before
anybody can take over, once the database has not confirmed a heartbeat for nine tenths of the TTL, by this machine's
monotonic clock from before the last confirmed request. A loss is final.

What can fail: a process that is killed holds its seat until it is reaped: one TTL later by any keeper; where none runs,
after two by whoever waits for the seat. One call that holds the interpreter for a whole TTL stops the thread as well;
work like that belongs into a child process.

Not here: the verbs (`seats`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterator

from leasehold.db.line import AWAY, Line
from leasehold.db.session import Connection, Session
from leasehold.errors import HolderGone, Refused, SeatLost
from leasehold.kernel import groups, holders, seats
from leasehold.kernel.keys import canonical
from leasehold.options import LeaseOptions

log = logging.getLogger("leasehold.kernel")

ASK_EVERY_S = 0.5
"""How often who waits asks. Well below the 5 seconds after which a place in line is passed over."""


class Held:
    """A seat as its block sees it."""

    def __init__(self, seat: seats.Seat, keeper: _Keeper) -> None:
        self.seat = seat
        self._keeper = keeper

    @property
    def key(self) -> str:
        return self.seat.key

    @property
    def token(self) -> int:
        """Rises with every taking of this resource: give it to systems that can refuse a late writer."""
        return self.seat.token

    @property
    def lost(self) -> bool:
        return self._keeper.lost.is_set()

    def wait_lost(self, timeout_s: float) -> bool:
        """Wait until the seat is lost, at most this long; whether it is."""
        return self._keeper.lost.wait(timeout_s)

    def check(self) -> None:
        """Raises:
        SeatLost: the seat was taken away, or may have been.
        """
        if self.lost:
            raise SeatLost(key=self.key, token=self.token)

    def confirm(self, connection: Connection) -> bool:
        """Within a transaction: whether the seat is held; if so, until the transaction ends."""
        return seats.confirm(connection, self.seat)


@contextlib.contextmanager
def hold(
    session: Session,
    key: str,
    *,
    kind: str = "cli",
    name: str = "",
    wait_s: float = 0.0,
    lease: LeaseOptions | None = None,
) -> Iterator[Held]:
    """Have a seat at *key* while the block runs.

    Args:
        kind: what this process is: cli, web, hook, sql or worker.
        name: shown to who looks or waits; host and pid if empty.
        wait_s: how long to stand in line; 0: not at all. Who waits outlasts an outage of the database; one that was
            longer than the TTL may cost the place in line.

    Raises:
        Refused: somebody else has it (context: who), or the resource is paused, and the wait is over.
        SeatLost: the seat was taken away before the block ended; raised at its end, unless the block raises itself.
    """
    key, lease = canonical(key), lease or LeaseOptions()
    with _Keeper(session, kind, name or f"{socket.gethostname()}:{os.getpid()}", lease) as keeper:
        seat = _take(session, keeper, key, wait_s)
        yield Held(seat, keeper)
        if not seats.give_back(session, seat):
            raise SeatLost(key=key, token=seat.token)
        groups.wake(session)


def _take(session: Session, keeper: _Keeper, key: str, wait_s: float) -> seats.Seat:
    """The seat, kept from now on. Who waits has nothing yet that an outage could cost, but its place in line."""
    give_up_at = time.monotonic() + wait_s
    while True:
        why = "held"
        try:
            answer = seats.take(session, keeper.holder_id, key, wait=wait_s > 0)
            if isinstance(answer, seats.Seat):
                if keeper.keep(answer):
                    return answer
            elif _reap(session, key, keeper.lease.ttl_s):
                continue
            else:
                why = answer.why
        except (HolderGone, *AWAY) as error:
            if time.monotonic() >= give_up_at:
                raise
            if isinstance(error, HolderGone):
                with contextlib.suppress(*AWAY):
                    keeper.join()
        left_s = give_up_at - time.monotonic()
        if left_s <= 0:
            raise refused(session, key, why)
        time.sleep(min(left_s, ASK_EVERY_S * random.uniform(0.5, 1.0)))


def _reap(session: Session, key: str, ttl_s: float) -> bool:
    """End holders of the seat that nobody keeps any more: perhaps no keeper runs that would. Whether there were any.

    Only those that have been silent for twice a TTL: when an outage ends, everybody looks expired for a moment.
    """
    gone = [one.holder_id for one in seats.taken(session, key) if one.expired and one.heard_s > 2 * ttl_s]
    return bool(gone) and holders.reap_these(session, gone) > 0


def refused(session: Session, key: str, why: str) -> Refused:
    """The error that says who is in the way."""
    remedy = f"Wait, or ask who it is: leasehold lock why {key}"
    if why == "paused":
        return Refused(f"{key} is paused.", remedy=f"Wait, or run: leasehold limit resume {key}", key=key)
    who = [f"{one.holder_kind} {one.name} (pid {one.pid})" for one in seats.taken(session, key)[:3]]
    return Refused(f"{key} is held by {', '.join(who) or 'others whose turn it is'}.", remedy=remedy, key=key)


class _Keeper:
    """A holder, and the thread that keeps it. Leaving it gives back whatever it has."""

    def __init__(self, session: Session, kind: str, name: str, lease: LeaseOptions) -> None:
        self._session = session
        self._called = kind, name
        self.lease = lease
        self.token: int | None = None
        """None: there is no seat yet, so nothing that could be lost."""
        self.lost = threading.Event()
        self._stopping = threading.Event()
        self._confirmed_s = time.monotonic()
        self.join()
        self._line = Line(
            session.target, route="direct", application_name="leasehold seat", patience_s=lease.heartbeat_s
        )
        self._threads = [
            threading.Thread(target=work, name=f"leasehold-seat-{what}", daemon=True)
            for what, work in (("heartbeat", self._keep), ("watch", self._watch))
        ]

    def join(self) -> None:
        kind, name = self._called
        self.holder_id = holders.join(self._session, kind=kind, name=name, ttl_s=self.lease.ttl_s)

    def keep(self, seat: seats.Seat) -> bool:
        """Answer for *seat* from now on; False if it has been taken away already.

        Whatever happened while the holder waited, a heartbeat now says that it lives and has it.
        """
        sent_s = time.monotonic()
        kept = holders.heartbeat(self._session, [seat.holder_id]).get(seat.holder_id)
        if kept is None or seat.token not in kept.tokens:
            return False
        self._confirmed_s = sent_s
        self.token = seat.token
        return True

    def __enter__(self) -> _Keeper:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._line.close()
        for thread in self._threads:
            thread.join(timeout=1.0)
        with contextlib.suppress(*AWAY):  # then the reaper does it, one TTL later
            holders.leave(self._session, self.holder_id)

    def _keep(self) -> None:
        while not self._stopping.wait(self.lease.heartbeat_s):
            holder_id, token, sent_s = self.holder_id, self.token, time.monotonic()
            try:
                kept = holders.heartbeat(self._line, [holder_id]).get(holder_id)
            except Exception as error:  # whatever it met, the next one may work
                if not self._stopping.is_set():
                    log.warning("a heartbeat failed, trying again: %s", error)
                continue
            self._confirmed_s = max(self._confirmed_s, sent_s)
            if token is not None and (kept is None or token not in kept.tokens):
                self.lost.set()

    def _watch(self) -> None:
        """By the monotonic clock, beside the heartbeat: a request that hangs must not hide that the time is over."""
        unconfirmed_s = self.lease.ttl_s * 0.9
        look_every_s = min(0.5, self.lease.heartbeat_s / 4)
        while not self._stopping.wait(look_every_s):
            if self.token is not None and time.monotonic() - self._confirmed_s > unconfirmed_s:
                self.lost.set()
            if self._line.busy_since_s and time.monotonic() - self._line.busy_since_s > self.lease.heartbeat_s:
                self._line.give_up()
