"""The lane policy: which lanes the next claim asks, and for how many steps of each.

A pure module: no I/O, no clock, nothing random, so the same views and the same answers give the same choices. What
the database said about its lanes comes in as `LaneView`s, and it may be stale by now; what goes out is a wish.
*Taking* is the SQL's: it skips what others hold, takes seats, honours steps marked alone, and answers with less than
was asked, or nothing. `took` brings that answer back.

Each consumer pool takes *turns*; a turn asks one lane. In order, what decides whose turn it is:

1. Age: every `kth_oldest`-th turn of a pool goes to the lane that has waited longest, whatever its priority.
2. Priority: every other turn goes to the highest priority that has a lane open.
3. Weight: groups of one priority share its steps in proportion to weight (stride scheduling: a group pays
   steps / weight, whoever has paid least is next). A group that comes or returns starts where the others are. Groups
   of one source share a single part, as large as the heaviest of them would have alone, by their weights.
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
4 ms; 10,000 groups of one lane: 11 ms (more where the garbage collector has much to walk), of 50 sources 12 ms; the
same view again: 5 and 250 us. So take a new view when there is news, a few times a second, and not per claim.

Not here: the turns themselves (`turns`), consumers and their counts (`pools`), how often to look at the lanes and when
to claim (the worker).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leasehold.errors import UsageError
from leasehold.worker.pools import pool_of
from leasehold.worker.turns import KindLimits, LaneView, Pool

__all__ = ["LANES_MAX", "KindLimits", "LanePolicy", "LaneRequest", "LaneView"]

LANES_MAX = 8
"""Lanes one claim asks at most: a claim is one transaction, and its locks are held while it takes from each."""


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
        self._rota = deque(Pool(pools[name], served, kth_oldest) for name, served in kinds_of.items())
        self._pool_of = {kind: pool for pool in self._rota for kind in pool.kinds}
        self._lanes_max = lanes_max
        self._lanes: Sequence[LaneView] | None = None
        self._asked: dict[int, tuple[Pool, LaneView, int]] = {}

    def has_room(self, held: Mapping[str, int]) -> bool:
        """Whether `choose` could ask for anything at all, had it the lanes. Without room a look is wasted."""
        self._count(held)
        return any(pool.wants() for pool in self._rota)

    def has_free(self, kind: str, held: Mapping[str, int]) -> bool:
        """Whether a consumer for *kind* is free right now, so that a probe would start at once."""
        self._count(held)
        pool = self._pool_of.get(kind)
        return pool is not None and pool.free > 0

    def has_open(self) -> bool:
        """Whether a lane of the view may still be asked, now or once there is room."""
        return any(pool.waiting for pool in self._rota)

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

    def _turns(self, active: deque[Pool]) -> list[LaneRequest]:
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
