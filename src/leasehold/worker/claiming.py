"""Claiming: when to look which lanes have work, and asking for it under a number that is never lost.

One cycle is one visit of the claim thread: look (when there is news or the last look is old), then claim, which brings
the items too.
The policy, the hints and the numbers belong to the cycle under way; between cycles nobody touches them. (The size of a
lane's next page is one number, set when a page is over.)

Invariant: a claim whose reply was lost is asked again, under its number, before anything else; the database answers
with the same leases, or takes now what it had not taken. Is the answer empty, the number is used up on purpose, so that
the first sending, should it still be on its way, takes nothing that nobody hears of. So nothing is leased that this
worker does not know of.

Steps to be leased alone: a holder that holds others is told that they wait. It then claims nothing more, lets what it
holds end, and asks for one of them; while it holds that one it claims nothing.

Probes: a lane whose breaker is open is offered for one step at a time. It is asked apart from the others, by a verb of
its own, when a consumer for its kind is free; the policy never sees it.

Failure: without the database it asks again every second. Not here: what becomes of a lease (worker), whose turn it is
(policy).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from leasehold.db.line import AWAY, Line
from leasehold.errors import HolderGone
from leasehold.kernel import groups, steps
from leasehold.kernel.steps import PAGE_MAX, Lane, Lease
from leasehold.types import StepLease
from leasehold.worker.held import Ledger
from leasehold.worker.kinds import Kind
from leasehold.worker.pages import PAGE_S
from leasehold.worker.policy import KindLimits, LanePolicy, LaneView
from leasehold.worker.rationing import Ration
from leasehold.worker.standing import Doing, Standing
from leasehold.worker.tallies import IDLE, MISSED, NOBODY, TRIED, WON, Metrics
from leasehold.worker.threads import Threads
from leasehold.worker.tracing import GROUPS_MAX, Tracing

log = logging.getLogger("leasehold.worker")

POLL_MIN_S = 0.05
CYCLE_MIN_S = 0.002
"""Between two cycles: under load, ends that come one by one are answered by one claim for several."""
AWAY_PAUSE_S = 0.5
HINT_AGE_S = 1.0
"""A hint is where this worker stood in a lane this long ago: a step whose commit came later than its neighbours' is
still behind it."""
HINT_BEHIND = 20_000
"""Or so many positions behind, if that is less: while an old snapshot is held, a claim walks over all that was claimed
in between. At 65,000 steps a second that took a quarter of the rate."""
RESCAN_EVERY_S = 30.0
"""A scan of each lane from its start at least this often, for commits that came later still."""
LOOK_EVERYWHERE_S = 1.0
"""Looks go by the hints too, but for one in this time; and when that takes long, for less than a twentieth of the time.
An old snapshot keeps what was claimed in the index: of a lane of 200,000 a look from the start then takes 12 ms."""
LOOK_EVERYWHERE_SHARE = 20.0
FORGET_AFTER_S = 600.0


@dataclass(slots=True)
class Place:
    """Where this worker stands in one lane."""

    rescan_at: float = 0.0
    seen_at: float = 0.0
    positions: deque[tuple[float, int]] = field(default_factory=deque)
    """(when, last position claimed), oldest first."""
    page: int = PAGE_MAX
    """How many of its steps a page function gets, by how long the last ones took."""

    def hint(self, now: float) -> int:
        self.seen_at = now
        if now >= self.rescan_at:
            self.rescan_at = now + RESCAN_EVERY_S
            return 0
        return self.behind(now)

    def behind(self, now: float) -> int:
        positions = self.positions
        while len(positions) > 1 and self._is_of_age(positions[1], now):
            positions.popleft()
        return positions[0][1] if positions and self._is_of_age(positions[0], now) else 0

    def _is_of_age(self, stood: tuple[float, int], now: float) -> bool:
        at, position = stood
        return now - at > HINT_AGE_S or self.positions[-1][1] - position > HINT_BEHIND

    def took(self, per_step_s: float) -> None:
        """A step of the last page took so long: the next page should take `PAGE_S`, and grow by and by."""
        self.page = max(1, min(4 * self.page, int(PAGE_S / max(per_step_s, 0.001)), PAGE_MAX))


@dataclass(frozen=True, slots=True)
class Asked:
    """A claim and what is needed to understand its answer, whenever that comes."""

    number: int
    requests: list[steps.LaneRequest]
    lanes: dict[int, Lane]
    reconnects: int
    """The line's, when it was first sent: if they have risen since, a twin of it may be on its way."""
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """A lease with what its consumers need; `answered_s` is when the claim was answered."""

    lease: Lease
    kind: Kind
    leased: list[StepLease]
    answered_s: float


def delivery(lease: Lease, kind: Kind, group_id: int, answered_s: float) -> Delivery:
    items = lease.items or (None,) * len(lease.steps)
    leased = [
        StepLease(step_id, lease.token, attempt, item, group_id)
        for (step_id, attempt), item in zip(lease.steps, items, strict=True)
    ]
    return Delivery(lease, kind, leased, answered_s)


class Claimer:
    """Claims for one worker.

    Args:
        deliver: told about every lease, on the loop's thread.
        full: whether so much waits to be recorded that nothing more may be claimed.
        standing: where it writes down how claiming stands, for whoever watches it.
        metrics: told about every claim and every idle look.
        tracing: told to which traces groups belong, before their steps are worked.
    """

    def __init__(
        self,
        line: Line,
        thread: Threads,
        kinds: Mapping[str, Kind],
        consumers: Mapping[str, int],
        ledger: Ledger,
        *,
        poll_max_s: float,
        deliver: Callable[[Delivery], None],
        full: Callable[[], bool],
        standing: Standing,
        metrics: Metrics = NOBODY,
        tracing: Tracing | None = None,
    ) -> None:
        self._line = line
        self._thread = thread
        self._kinds = kinds
        self._names = list(kinds)
        self._ledger = ledger
        self._poll_max_s = poll_max_s
        self._deliver = deliver
        self._full = full
        self._standing = standing
        self._metrics = metrics
        self._tracing = tracing
        self._asked_trace: set[int] = set()
        self._policy = LanePolicy(consumers, {name: _limits(kind) for name, kind in kinds.items()})
        self._lanes: dict[int, Lane] = {}
        self._views: list[LaneView] = []
        self._probes: list[int] = []
        self._places: dict[int, Place] = {}
        self._forget_at = self._look_everywhere_at = 0.0
        self._holder_id = self._number = 0
        self._asked: Asked | None = None
        self._alone_lanes: tuple[int, ...] = ()
        self._wake = asyncio.Event()
        self._news, self._heard, self._ration = True, False, Ration()
        self._more = self._cycling = False
        self._stopping = self._gone = self._drained = False

    # -- for the worker -----------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """A consumer is free, or will be soon."""
        self._wake.set()

    def news(self) -> None:
        """Something may be ready that was not."""
        self._news = True
        self._wake.set()

    def heard(self) -> None:
        """Somebody announced work; every worker is told, and few of them will get it."""
        self._heard = True
        self._wake.set()

    def gone(self) -> None:
        """The heartbeat says that the holder has ended."""
        self._gone = True
        self._wake.set()

    def worked(self, lane_id: int, per_step_s: float) -> None:
        """A page of the lane is over, and each of its steps took so long. May be called from any thread."""
        if (place := self._places.get(lane_id)) is not None:
            place.took(per_step_s)

    def drain(self, drained: bool) -> None:
        """Whether to claim no more; what is held is finished."""
        if drained != self._drained:
            self._drained, self._news = drained, True
            self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def join(self, holder_id: int) -> None:
        """Claim for this holder from now on. What was asked for another one has gone back with it."""
        self._holder_id, self._number = holder_id, 0
        self._asked, self._gone, self._drained, self._alone_lanes = None, False, False, ()
        self._news = True

    async def run(self) -> None:
        """Claim until stopped.

        Raises:
            HolderGone: `join` another one, then run again.
        """
        loop = asyncio.get_running_loop()
        fruitless = 0
        look_at = looked_at = not_before = 0.0
        while not self._stopping:
            self._wake.clear()
            if self._gone:
                raise HolderGone
            now = time.monotonic()
            heard_at = now + self._ration.wait_s(now) if self._heard else look_at
            due_at = min(look_at, heard_at)
            if not (self._asked or (self._may_ask() and (self._more or self._news or now >= due_at))):
                self._standing.doing = self._why_not()
                await self._sleep(due_at - now if self._may_ask() else self._poll_max_s)
                continue
            if now < not_before:
                await self._sleep(not_before - now)
                continue
            news = self._news or now >= heard_at
            look = now >= look_at or (news and (not self._more or now - looked_at > POLL_MIN_S))
            only_heard = look and self._heard and not self._news and now < look_at
            if look:
                self._news = self._heard = False
                looked_at = now
            not_before = now + CYCLE_MIN_S
            self._cycling = True
            self._standing.asking()
            try:
                deliveries = await loop.run_in_executor(self._thread, self._cycle, look)
            except AWAY as error:
                log.warning("cannot claim, trying again: %s", error)
                self._standing.doing = Doing.FAILING
                self._news, self._more, not_before = True, False, time.monotonic() + AWAY_PAUSE_S
                continue
            finally:
                self._cycling = False
            self._standing.answered(something=bool(deliveries))
            fruitless = 0 if deliveries else fruitless + look
            if only_heard and not deliveries:
                self._ration.spend(now)
            if look:
                look_at = time.monotonic() + self._poll_s(fruitless)
            for delivery in deliveries if not self._stopping else ():
                self._deliver(delivery)
            self._more = bool(deliveries) and self._something_is_left

    @property
    def asking(self) -> bool:
        """Whether a claim is under way, or its answer is still to be asked for."""
        return self._cycling or self._asked is not None

    @property
    def quiet(self) -> bool:
        """Whether all that the last look found is claimed, and nothing is asked or announced: free slots stay free."""
        waits = (
            self._cycling
            or self._more
            or self._news
            or self._heard
            or self._asked is not None
            or self._something_is_left
        )
        return not (waits or self._stopping or self._gone or self._drained or self._ledger.alone)

    @property
    def _something_is_left(self) -> bool:
        """Of the last look."""
        return bool(self._alone_lanes or self._probes) or self._policy.has_open()

    def _may_ask(self) -> bool:
        return self._why_not() is Doing.LOOKING

    def _why_not(self) -> Doing:
        """Why nothing may be asked now; LOOKING: it may."""
        ledger = self._ledger
        if self._drained:
            return Doing.DRAINED
        if self._full():
            return Doing.FULL
        if ledger.alone or (self._alone_lanes and ledger.busy):
            return Doing.ALONE
        return Doing.LOOKING if self._policy.has_room(ledger.in_consumers) else Doing.BUSY

    async def _sleep(self, within_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.0, within_s))

    def _poll_s(self, fruitless: int) -> float:
        wait_s = min(self._poll_max_s, POLL_MIN_S * 2.0 ** min(fruitless, 10))
        return wait_s * random.uniform(0.75, 1.0)

    # -- one cycle, on the claim thread -------------------------------------------------------------------------------

    def _cycle(self, look: bool) -> list[Delivery]:
        if self._asked is None and look:
            self._look()
        asked = self._asked or self._ask_probe() or self._ask()
        if asked is None and look:
            self._metrics.claimed(IDLE)
        deliveries = self._claim(asked)
        if asked is not None and asked.probe and not (deliveries or self._alone_lanes):
            deliveries = self._claim(self._ask())  # somebody else has the probe; what else is there?
        return deliveries

    def _claim(self, asked: Asked | None) -> list[Delivery]:
        self._asked = asked
        if asked is None:
            return []
        sent_s = time.monotonic()
        self._metrics.claimed(TRIED)
        claimed = self._answer(asked)
        now = time.monotonic()
        self._metrics.claimed(WON if claimed.leases else MISSED, now - sent_s)
        self._asked = None
        self._learn(asked, claimed, now)
        lanes = [asked.lanes[lease.lane_id] for lease in claimed.leases]
        if self._tracing is not None:
            self._learn_traces({lane.group_id for lane in lanes})
        return [
            delivery(lease, self._kinds[lane.kind], lane.group_id, now)
            for lease, lane in zip(claimed.leases, lanes, strict=True)
        ]

    def _learn_traces(self, group_ids: set[int]) -> None:
        """Once for each group. What was claimed is worked whatever comes of this."""
        assert self._tracing is not None
        if unknown := group_ids - self._asked_trace:
            try:
                self._tracing.know(groups.traces(self._line, sorted(unknown)))
            except AWAY as error:
                log.debug("spans of groups %s are not linked: %s", unknown, error)
                return
            self._asked_trace = unknown if len(self._asked_trace) > GROUPS_MAX else self._asked_trace | unknown

    def _answer(self, asked: Asked) -> steps.Claimed:
        """What *asked* has brought, for good: an empty answer to a claim that was sent twice is no answer yet."""
        if asked.probe:
            claimed = steps.claim_probe(self._line, self._holder_id, asked.number, asked.requests[0])
        else:
            claimed = steps.claim(self._line, self._holder_id, asked.number, asked.requests)
        if not claimed.leases and self._line.reconnects != asked.reconnects:
            claimed = steps.claim(self._line, self._holder_id, asked.number, [])
        return claimed

    def _look(self) -> None:
        started = time.monotonic()
        everything = started >= self._look_everywhere_at
        behind = {} if everything else {lane_id: place.behind(started) for lane_id, place in self._places.items()}
        found = steps.lanes(self._line, self._names, {lane_id: at for lane_id, at in behind.items() if at})
        if everything:
            now = time.monotonic()
            self._look_everywhere_at = now + max(LOOK_EVERYWHERE_S, LOOK_EVERYWHERE_SHARE * (now - started))
        self._lanes = {lane.lane_id: lane for lane in found}
        self._metrics.passed_over(sum(lane.full for lane in found))
        self._views = [
            LaneView(
                lane.lane_id,
                lane.kind,
                lane.group_id or -lane.lane_id,  # a hook's lane is of no group, and has a turn of its own
                lane.weight,
                lane.priority,
                stage=lane.stage,
                source=lane.source,
                full=lane.full,
            )
            for lane in found
            if not lane.probe
        ]
        self._probes = [lane.lane_id for lane in found if lane.probe]
        random.shuffle(self._probes)

    def _ask(self) -> Asked | None:
        wanted = [(lane_id, 1) for lane_id in self._alone_lanes if lane_id in self._lanes]
        self._alone_lanes = ()
        if probes := [lane_id for lane_id, _ in wanted if self._lanes[lane_id].probe]:
            return self._asking(probes[0])
        if not wanted:
            wishes = self._policy.choose(self._views, dict(self._ledger.in_consumers))
            wanted = [(wish.lane_id, wish.n) for wish in wishes]
        if not wanted:
            return None
        self._number += 1
        now = time.monotonic()
        requests = [self._request(lane_id, n, now) for lane_id, n in wanted]
        lanes = {lane_id: self._lanes[lane_id] for lane_id, _ in wanted}
        return Asked(self._number, requests, lanes, self._line.reconnects)

    def _ask_probe(self) -> Asked | None:
        """For the probe of a lane that may be probed, once a look, when nothing is to be claimed alone first."""
        held = self._ledger.in_consumers
        while self._probes and not self._alone_lanes:
            lane_id = self._probes.pop()
            if self._policy.has_free(self._lanes[lane_id].kind, held):
                return self._asking(lane_id)
        return None

    def _asking(self, lane_id: int) -> Asked:
        self._number += 1
        lane = self._lanes[lane_id]
        kind = self._kinds[lane.kind]
        request = steps.LaneRequest(lane_id, 1, 0, kind.lease_s, kind.payload)
        return Asked(self._number, [request], {lane_id: lane}, self._line.reconnects, probe=True)

    def _request(self, lane_id: int, n: int, now: float) -> steps.LaneRequest:
        kind = self._kinds[self._lanes[lane_id].kind]
        place = self._places.setdefault(lane_id, Place())
        hint = place.hint(now)
        n = min(kind.page_max, place.page) if kind.paged else n
        return steps.LaneRequest(lane_id, n, hint, kind.lease_s, kind.payload)

    def _learn(self, asked: Asked, claimed: steps.Claimed, now: float) -> None:
        """Tell the policy and the hints what the claim brought."""
        if asked.probe:
            self._alone_lanes = claimed.alone_waiting
            return
        got = {lease.lane_id: lease for lease in claimed.leases}
        for request in asked.requests:
            lease = got.get(request.lane_id)
            place = self._places[request.lane_id]
            n = len(lease.steps) if lease else 0
            paged = self._kinds[asked.lanes[request.lane_id].kind].paged
            self._policy.took(request.lane_id, min(n, 1) if paged else n)
            if lease is not None:
                if lease.last_position is not None:
                    place.positions.append((now, lease.last_position))
            elif request.hint:  # the lane was said to have work: look from its start next time
                place.positions.clear()
                place.rescan_at = 0.0
                self._news = True
        self._alone_lanes = claimed.alone_waiting
        if now >= self._forget_at:
            self._forget_at = now + FORGET_AFTER_S
            self._places = {i: place for i, place in self._places.items() if place.seen_at > now - FORGET_AFTER_S}


def _limits(kind: Kind) -> KindLimits:
    """For a page function the policy counts pages: one consumer works one page, whatever its size."""
    if kind.paged:
        return KindLimits(page_max=1, prefetch=0)
    return KindLimits(page_max=kind.page_max, prefetch=kind.prefetch)
