"""The lane policy: which lanes the next claim asks, and for how many steps of each.

A pure module: no I/O, no clock, nothing random, so the same views and the same answers give the same choices. What
the database said about its lanes comes in as `LaneView`s, and it may be stale by now; what goes out is a wish.
*Taking* is the SQL's: it skips what others hold, takes seats, honours steps marked alone, and answers with less than
was asked, or nothing. `took` brings that answer back.

Each consumer pool takes *turns*; a turn asks one lane. In order, what decides whose turn it is:

1. Age: every `kth_oldest`-th turn of a pool goes to the lane that has waited longest, whatever its priority.
2. Priority: every other turn goes to the highest priority that has a lane open.
3. Weight: groups of one priority share its steps in proportion to weight (stride scheduling: a group pays
   steps / weight, whoever has paid least is next). A group that comes or returns starts where the others are.
4. Stage: within a group, later stages first. Finishing started runs before starting new ones bounds what is in flight.
5. Among equals, the lane that has waited longest.

The bound: a lane that can be asked is asked within `kth_oldest` x N turns of its pool, N being the lanes of that pool,
itself, paused and full ones included, that the database had named by the time its wait began. (Each turn for age serves
a lane at least as old, and who is served becomes the youngest; who comes later is younger, so no stream of newcomers
moves the bound.) The price: age may give a group up to 1 / `kth_oldest` of the turns where its weight gives it less.

How many: a pool of `size` holds at most `size + prefetch` of a kind's steps, all its kinds together. Without a free
slot nothing is asked, with one exception: a pool that holds only prefetched kinds is filled up again once half the
prefetch, or a whole page, has room. So the next page is claimed while this one is worked, two consumers of one batched
kind get a page each, and claims stay few.
A turn that lacks room is waited for, never skipped, or a slow step would wait for ever behind short ones in its pool.

Paused, full and emptied lanes, and lanes of kinds this worker does not know or serve, are not visited at all.
Cost: a new view is sorted once, O(lanes); a turn is O(log lanes), a turn for age O(lanes). Measured, per `choose`:
10 lanes, new view, 1 and 8 asked: 10 and 27 us; the same view again: 4 and 22 us. 10,000 lanes in 3 groups, new view:
4 ms; 10,000 groups of one lane: 11 ms (more where the garbage collector has much to walk); the same view again: 5 and
250 us. So take a new view when there is news, a few times a second, and not per claim.

Not here: consumers and their counts (`pools`), how often to look at the lanes and when to claim (the worker).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from operator import itemgetter

from leasehold.errors import UsageError
from leasehold.worker.pools import pool_of

LANES_MAX = 8
"""Lanes one claim asks at most: a claim is one transaction, and its locks are held while it takes from each."""

_UNIT = 1 << 20
"""What one step costs a group of weight 1. An integer, so that no rounding piles up over billions of steps."""


@dataclass(frozen=True, slots=True)
class LaneView:
    """What the database said about one lane with ready steps. Higher priority first; higher stage first in a group."""

    lane_id: int
    kind: str
    group_id: int
    weight: int = 1
    priority: int = 0
    paused: bool = False
    full: bool = False
    stage: int = 0

    def __post_init__(self) -> None:
        assert self.weight >= 1, f"lane {self.lane_id} has weight {self.weight}"


@dataclass(frozen=True, slots=True)
class KindLimits:
    """How much of one kind may be leased at once."""

    page_max: int = 1
    """The largest page one lease may cover. 1: a lost lease costs one step."""
    prefetch: int = 0
    """Steps leased beyond the free slots. 0 for slow kinds: a step waiting here could be running elsewhere."""

    def __post_init__(self) -> None:
        if self.page_max < 1 or self.prefetch < 0:
            raise UsageError(
                f"page_max={self.page_max} must be at least 1 and prefetch={self.prefetch} at least 0.",
                remedy="Correct the limits of the kind where it is registered.",
            )


@dataclass(frozen=True, slots=True)
class LaneRequest:
    """Ask lane `lane_id` for up to `n` steps."""

    lane_id: int
    n: int


class LanePolicy:
    """Chooses the lanes of each claim of one worker. Keeps whose turn it is; everything else it is told.

    Args:
        pools: consumers per pool; `*` is every kind no named pool has.
        kinds: the kinds this worker can run. A lane of any other kind is never asked.
        kth_oldest: every how many turns age comes before priority. Smaller starves less and obeys priorities less.
        lanes_max: lanes one `choose` asks at most. Pools begin in rotation, so none is left out for long.
    """

    def __init__(
        self,
        pools: Mapping[str, int],
        kinds: Mapping[str, KindLimits],
        *,
        kth_oldest: int = 8,
        lanes_max: int = LANES_MAX,
    ) -> None:
        if kth_oldest < 1 or lanes_max < 1:
            raise UsageError(f"kth_oldest={kth_oldest} and lanes_max={lanes_max} must be at least 1.")
        kinds_of: dict[str, dict[str, KindLimits]] = {}
        for kind, limits in kinds.items():
            if (name := pool_of(kind, pools)) is not None:
                kinds_of.setdefault(name, {})[kind] = limits
        self._rota = deque(_Pool(pools[name], served, kth_oldest) for name, served in kinds_of.items())
        self._pool_of = {kind: pool for pool in self._rota for kind in pool.kinds}
        self._lanes_max = lanes_max
        self._lanes: Sequence[LaneView] | None = None
        self._asked: dict[int, tuple[_Pool, LaneView, int]] = {}

    def choose(self, lanes: Sequence[LaneView], held: Mapping[str, int]) -> list[LaneRequest]:
        """What the next claim asks: at most `lanes_max` lanes, each once, in the order of their turns.

        Args:
            lanes: the latest view. Another object is a newer view and is taken in by `refresh`; the same object
                again costs nothing, and what `took` reported about it still counts. Do not change one in place.
            held: leased and not yet ended steps per kind, in this worker.
        """
        self._count(held)
        active = deque(pool for pool in self._rota if pool.wants())
        if not active:
            return []
        self._rota.rotate(-1)
        self._reopen() if lanes is self._lanes else self.refresh(lanes)
        return self._turns(active)

    def took(self, lane_id: int, n: int) -> None:
        """The claim got *n* steps from the lane. Less than asked: it is empty, or others hold the rest; either way it
        is left alone until the next view, and its group pays only for what it got. A lane not asked since then is
        ignored: the newer view knows better.
        """
        if (asked := self._asked.pop(lane_id, None)) is not None:
            pool, view, wanted = asked
            assert 0 <= n <= wanted, f"lane {lane_id} gave {n} of {wanted}"
            if n < wanted:
                pool.rounds[view.priority].pay(view, n - wanted)
            else:
                pool.reopen(view)

    def refresh(self, lanes: Sequence[LaneView]) -> None:
        """Take in what the database now says. Lanes it no longer names are forgotten; the others keep their age."""
        self._lanes = lanes
        self._asked.clear()
        for pool in self._rota:
            pool.forget()
        for view in lanes:
            if view.kind in self._pool_of:
                self._pool_of[view.kind].see(view)
        for pool in self._rota:
            pool.settle()

    def _count(self, held: Mapping[str, int]) -> None:
        for pool in self._rota:
            pool.free, pool.slow = pool.size, False
        for kind, n in held.items():
            if n and kind in self._pool_of:
                self._pool_of[kind].fill(kind, n)

    def _reopen(self) -> None:
        """Lanes whose answer never came (the claim failed) are open again; their groups stay charged."""
        for pool, view, _ in self._asked.values():
            pool.reopen(view)
        self._asked.clear()

    def _turns(self, active: deque[_Pool]) -> list[LaneRequest]:
        requests: list[LaneRequest] = []
        while active and len(requests) < self._lanes_max:
            pool = active.popleft()
            if (turn := pool.turn()) is not None:
                view, n = turn
                self._asked[view.lane_id] = (pool, view, n)
                requests.append(LaneRequest(view.lane_id, n))
                if pool.wants():
                    active.append(pool)
        return requests


_Entry = tuple[int, int, LaneView]
"""(-stage, age, lane): the order within a group. Ages are drawn from a counter; the smaller has waited longer."""


class _Pool:
    """One consumer pool's turns."""

    def __init__(self, size: int, kinds: Mapping[str, KindLimits], kth_oldest: int) -> None:
        self.size, self.kinds, self.kth_oldest = size, kinds, kth_oldest
        self.prefetch_max = max(limits.prefetch for limits in kinds.values())
        self.free, self.slow = size, False
        self.turns = self.clock = 0
        self.ages: dict[int, int] = {}
        """Of every lane of this pool in the latest view, paused and full ones too: a pause does not make one young."""
        self.ages_before: dict[int, int] = {}
        self.waiting: dict[int, _Entry] = {}
        """The lanes that can be asked now. What else stands in a group's heap is stale."""
        self.rounds: defaultdict[int, _Round] = defaultdict(_Round)

    def forget(self) -> None:
        for shares in self.rounds.values():
            shares.forget(self.waiting)
        self.ages_before, self.ages, self.waiting = self.ages, {}, {}

    def see(self, view: LaneView) -> None:
        lane_id = view.lane_id
        assert lane_id not in self.ages, f"lane {lane_id} stands twice in one view"
        age = self.ages[lane_id] = self.ages_before.get(lane_id) or self._tick()
        if not (view.paused or view.full):
            entry = self.waiting[lane_id] = (-view.stage, age, view)
            self.rounds[view.priority].lanes[view.group_id].append(entry)

    def settle(self) -> None:
        """Highest priority first, for `_first`; a priority nobody waits in is forgotten."""
        rounds = sorted(self.rounds.items(), key=itemgetter(0), reverse=True)
        self.rounds = defaultdict(_Round, ((priority, shares) for priority, shares in rounds if shares.lanes))
        for shares in self.rounds.values():
            shares.settle()

    def reopen(self, view: LaneView) -> None:
        entry = self.waiting[view.lane_id] = (-view.stage, self.ages[view.lane_id], view)
        self.rounds[view.priority].reopen(entry)

    def fill(self, kind: str, n: int) -> None:
        self.free -= n
        self.slow = self.slow or self.kinds[kind].prefetch == 0

    def wants(self) -> bool:
        """May anything be asked at all? Nothing is leased ahead behind a slow step: it would wait as long as that."""
        return self.free > 0 or (not self.slow and self.free + self.prefetch_max > 0)

    def turn(self) -> tuple[LaneView, int] | None:
        """The next lane and how many of it; None when no lane is open or the next one has to wait for room."""
        view = self._oldest() if (self.turns + 1) % self.kth_oldest == 0 else self._first()
        if view is None or (n := self._room(self.kinds[view.kind])) < 1:
            return None
        self.turns += 1
        self.fill(view.kind, n)
        del self.waiting[view.lane_id]
        self.ages[view.lane_id] = self._tick()
        self.rounds[view.priority].pay(view, n)
        return view, n

    def _room(self, limits: KindLimits) -> int:
        room = min(limits.page_max, self.free + limits.prefetch)
        worth_a_claim = 1 if self.free > 0 else min(limits.page_max, limits.prefetch // 2)
        return room if room >= worth_a_claim else 0

    def _oldest(self) -> LaneView | None:
        return min(self.waiting.values(), key=itemgetter(1))[2] if self.waiting else None

    def _first(self) -> LaneView | None:
        for shares in self.rounds.values():
            if (view := shares.first(self.waiting)) is not None:
                return view
        return None

    def _tick(self) -> int:
        self.clock += 1
        return self.clock


class _Round:
    """The groups of one pool and one priority, sharing by weight: who has paid least is next."""

    def __init__(self) -> None:
        self.now = 0
        self.paid: dict[int, int] = {}
        self.groups: list[tuple[int, int]] = []
        self.lanes: defaultdict[int, list[_Entry]] = defaultdict(list)

    def forget(self, waiting: Mapping[int, _Entry]) -> None:
        """Who waits keeps what it is owed, who is ahead stays charged; who is behind and idle starts anew."""
        paid = self.paid
        self.paid = {group: paid[group] for group in paid if paid[group] >= self.now or self._best(group, waiting)}
        self.lanes.clear()

    def settle(self) -> None:
        groups, paid = [], self.paid
        for group, lanes in self.lanes.items():
            if len(lanes) > 1:
                heapify(lanes)
            if group not in paid:
                # One step behind the round: were a newcomer first at once, a stream of them would shut out the rest.
                paid[group] = self.now + _UNIT // lanes[0][2].weight
            groups.append((paid[group], group))
        heapify(groups)
        self.groups = groups

    def reopen(self, entry: _Entry) -> None:
        group = entry[2].group_id
        heappush(self.lanes[group], entry)
        heappush(self.groups, (self.paid[group], group))

    def first(self, waiting: Mapping[int, _Entry]) -> LaneView | None:
        """The lane whose turn it is by weight, stage and age. Groups without an open lane leave the heap."""
        while self.groups:
            paid, group = self.groups[0]
            if paid == self.paid[group] and (view := self._best(group, waiting)) is not None:
                return view
            heappop(self.groups)
        return None

    def pay(self, view: LaneView, n: int) -> None:
        """Charge the group for *n* steps; a negative *n* gives back what was charged and not received.

        A group whose lanes cannot give its share (one claim asks each lane once) falls behind. It is owed one such
        request at most: all of it would, once it has lanes enough, keep everybody else waiting.
        """
        group, price = view.group_id, n * _UNIT // view.weight
        paid = self.paid[group]
        if n > 0 and self.groups[0] == (paid, group):  # its turn by weight, so the round has come this far
            self.now = max(self.now, paid)
        self.paid[group] = max(paid, self.now - price) + price if n > 0 else paid + price
        heappush(self.groups, (self.paid[group], group))

    def _best(self, group: int, waiting: Mapping[int, _Entry]) -> LaneView | None:
        lanes = self.lanes.get(group)
        while lanes and waiting.get(lanes[0][2].lane_id) is not lanes[0]:
            heappop(lanes)
        return lanes[0][2] if lanes else None
