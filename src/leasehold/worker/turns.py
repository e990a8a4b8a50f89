"""Turns: whose turn it is within one consumer pool. The inner half of the lane policy, and as pure as that.

A `Pool` takes the turns of one consumer pool; a `Round` shares the turns of one priority among its groups by weight.
What decides, in which order, and what it costs is said in `policy`, which is the only user of this module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from operator import itemgetter

from leasehold.errors import UsageError

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
    source: str = ""
    """Whose work the group is; groups of one source share the part of its heaviest. '': nobody else's."""

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


_Entry = tuple[int, int, LaneView]
"""(-stage, age, lane): the order within a group. Ages are drawn from a counter; the smaller has waited longer."""


class Pool:
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
        self.rounds: defaultdict[int, Round] = defaultdict(Round)

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
        self.rounds = defaultdict(Round, ((priority, shares) for priority, shares in rounds if shares.lanes))
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


class Round:
    """The groups of one pool and one priority, sharing by weight: who has paid least is next.

    The groups of one source together weigh what the heaviest of them does: each pays as much more as they are heavier
    together. So whoever submits in a hundred small groups gets no more than who submits in one.
    """

    def __init__(self) -> None:
        self.now = 0
        self.crowd: dict[int, tuple[int, int]] = {}
        """Of groups that share a source: (weight of them all, of the heaviest). Others pay the plain price."""
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
        self.crowd = self._crowds()
        for group, lanes in self.lanes.items():
            if len(lanes) > 1:
                heapify(lanes)
            if group not in paid:
                # One step behind the round: were a newcomer first at once, a stream of them would shut out the rest.
                paid[group] = self.now + self._price(lanes[0][2], 1)
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
        group, price = view.group_id, self._price(view, n)
        paid = self.paid[group]
        if n > 0 and self.groups[0] == (paid, group):  # its turn by weight, so the round has come this far
            self.now = max(self.now, paid)
        self.paid[group] = max(paid, self.now - price) + price if n > 0 else paid + price
        heappush(self.groups, (self.paid[group], group))

    def _price(self, view: LaneView, n: int) -> int:
        together, heaviest = self.crowd.get(view.group_id, (1, 1))
        return n * _UNIT * together // (view.weight * heaviest)

    def _crowds(self) -> dict[int, tuple[int, int]]:
        sharing: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for group, lanes in self.lanes.items():
            if source := lanes[0][2].source:
                sharing[source][group] = max(lane.weight for _, _, lane in lanes)
        crowds: dict[int, tuple[int, int]] = {}
        for weights in sharing.values():
            if len(weights) > 1:
                crowds.update(dict.fromkeys(weights, (sum(weights.values()), max(weights.values()))))
        return crowds

    def _best(self, group: int, waiting: Mapping[int, _Entry]) -> LaneView | None:
        lanes = self.lanes.get(group)
        while lanes and waiting.get(lanes[0][2].lane_id) is not lanes[0]:
            heappop(lanes)
        return lanes[0][2] if lanes else None
