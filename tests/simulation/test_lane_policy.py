"""The lane policy alone, by the thousand: shares, bounds and limits over random lanes, without a database.

Every scenario is drawn from `random.Random(seed)`; a failure names its seed. `Backlog` plays the database: it knows how
many steps each lane has, gives at most that many, and names only the lanes that have any.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasehold.errors import UsageError
from leasehold.worker.policy import LANES_MAX, KindLimits, LanePolicy, LaneRequest, LaneView
from leasehold.worker.pools import Pools, pool_of

ONE = KindLimits()
ENDLESS = 10**9


class Backlog:
    """The database's side: lanes and their waiting steps."""

    def __init__(self, lanes: list[LaneView], steps: int = ENDLESS) -> None:
        self.lanes = {lane.lane_id: lane for lane in lanes}
        self.steps = dict.fromkeys(self.lanes, steps)

    def view(self) -> list[LaneView]:
        return [lane for lane_id, lane in self.lanes.items() if self.steps[lane_id]]

    def give(self, request: LaneRequest) -> int:
        n = min(request.n, self.steps[request.lane_id])
        self.steps[request.lane_id] -= n
        return n


def serve(policy: LanePolicy, backlog: Backlog, turns: int, *, fresh: bool = True) -> list[tuple[LaneView, int]]:
    """Claim with an idle worker until *turns* lanes were asked: who got a turn and how many steps, in order."""
    served: list[tuple[LaneView, int]] = []
    view = backlog.view()
    while len(served) < turns:
        requests = policy.choose(backlog.view() if fresh else view, {})
        assert requests, "an idle worker with lanes open must ask one"
        for request in requests:
            n = backlog.give(request)
            policy.took(request.lane_id, n)
            served.append((backlog.lanes[request.lane_id], n))
    return served


def steps_by(served: list[tuple[LaneView, int]], field: str) -> Counter:
    total = Counter()
    for lane, n in served:
        total[getattr(lane, field)] += n
    return total


# -- shares -----------------------------------------------------------------------------------------------------------


WEIGHTS = {1: 1, 2: 2, 3: 5}


def weighted_lanes(rng: random.Random, lanes_min: int, lanes_max: int) -> list[LaneView]:
    lanes = [
        LaneView(100 * group + i, rng.choice("ab"), group, weight, stage=rng.randint(0, 2))
        for group, weight in WEIGHTS.items()
        for i in range(rng.randint(lanes_min, lanes_max))
    ]
    rng.shuffle(lanes)
    return lanes


def assert_shares(served: list[tuple[LaneView, int]], seed: int) -> None:
    steps = steps_by(served, "group_id")
    for group, weight in WEIGHTS.items():
        share, due = steps[group] / steps.total(), weight / 8
        assert abs(share - due) <= 0.05 * due, f"seed {seed}: group {group} got {share:.3f} instead of {due}"


@pytest.mark.parametrize("fresh", [True, False], ids=["a new view per claim", "one view"])
@pytest.mark.parametrize("seed", range(20))
def test_groups_share_a_saturated_pool_by_weight(seed, fresh):
    """Within 5 % of 1 : 2 : 5, with one lane per claim or eight, however many lanes a group has."""
    rng = random.Random(seed)
    kinds = dict.fromkeys("ab", KindLimits(rng.randint(1, 50)))
    slots = rng.choice([1, 8 * kinds["a"].page_max])
    lanes = weighted_lanes(rng, 1, 6) if slots == 1 else weighted_lanes(rng, 8, 12)

    served = serve(LanePolicy({"*": slots}, kinds), Backlog(lanes), 4000, fresh=fresh)

    assert_shares(served, seed)


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_paid_in_steps_whatever_the_page(seed):
    """Turns for age are rare here: they are blind to weights, and with long pages they could give group 1 too much."""
    rng = random.Random(seed)
    kinds = {kind: KindLimits(rng.randint(1, 50), prefetch=rng.randint(1, 50)) for kind in "ab"}
    policy = LanePolicy({"*": 1}, kinds, kth_oldest=500, lanes_max=1)

    assert_shares(serve(policy, Backlog(weighted_lanes(rng, 1, 6)), 4000), seed)


@pytest.mark.parametrize("fresh", [True, False], ids=["a new view per claim", "one view"])
@pytest.mark.parametrize("seed", range(20))
def test_sources_share_by_weight_however_many_groups_each_has(seed, fresh):
    """Within 5 %: a source's part is that of its heaviest group, and within it its groups share by theirs.

    Method: "many" has up to 30 groups of weight 1, "two" has a heavy one and a light one, and one group stands alone.
    """
    rng = random.Random(seed)
    kinds = {"a": KindLimits(rng.randint(1, 20))}
    many = rng.randint(2, 30)
    lanes = [LaneView(i, "a", i, source="many") for i in range(many)]
    lanes += [LaneView(100, "a", 100, weight=3, source="two"), LaneView(101, "a", 101, source="two")]
    lanes += [LaneView(200, "a", 200, weight=2)]
    rng.shuffle(lanes)
    policy = LanePolicy({"*": kinds["a"].page_max}, kinds, kth_oldest=1000, lanes_max=1)

    steps = steps_by(serve(policy, Backlog(lanes), 600 * many, fresh=fresh), "group_id")

    due = dict.fromkeys(range(many), 1 / 6 / many) | {100: 3 / 6 * 3 / 4, 101: 3 / 6 / 4, 200: 2 / 6}
    for group, part in due.items():
        share = steps[group] / steps.total()
        assert abs(share - part) <= 0.05 * part, f"seed {seed}: group {group} got {share:.4f} instead of {part:.4f}"


def test_a_source_whose_other_groups_have_ended_has_its_whole_part_again():
    lanes = [LaneView(1, "a", 1, source="s"), LaneView(2, "a", 2, source="s"), LaneView(3, "a", 3)]
    policy = LanePolicy({"*": 1}, {"a": ONE}, kth_oldest=1000)
    serve(policy, Backlog(lanes), 400)

    turns = steps_by(serve(policy, Backlog(lanes[1:]), 200), "group_id")

    assert abs(turns[2] - turns[3]) <= 4, turns


def test_age_gives_a_light_group_no_more_than_one_turn_in_k():
    lanes = [LaneView(i, "a", 1) for i in range(50)] + [LaneView(99, "a", 2, weight=1000)]

    turns = steps_by(serve(LanePolicy({"*": 1}, {"a": ONE}), Backlog(lanes), 8000), "group_id")

    assert 0.120 <= turns[1] / turns.total() <= 0.126, turns


@pytest.mark.parametrize("one_group", [True, False])
def test_three_kinds_share_one_free_slot_fairly(one_group):
    lanes = [LaneView(i, kind, 1 if one_group else i) for i, kind in enumerate(["parse", "store", "embed"])]
    policy = LanePolicy({"*": 1}, {lane.kind: ONE for lane in lanes})

    steps = steps_by(serve(policy, Backlog(lanes), 300), "kind")

    assert max(steps.values()) - min(steps.values()) <= 1, steps


def test_a_lane_that_gave_less_is_left_alone_and_its_group_pays_for_what_it_got():
    """Method: group 1 is asked for pages of 100 and has one step each time; group 2 has plenty. Equal weights."""
    thin, rich = LaneView(1, "a", 1), LaneView(2, "a", 2)
    policy, got = LanePolicy({"*": 1}, {"a": KindLimits(100, 99)}, kth_oldest=1000), Counter()
    view = [thin, rich]
    asked = []
    for _ in range(4):
        (request,) = policy.choose(view, {})
        policy.took(request.lane_id, 1 if request.lane_id == 1 else 100)
        asked.append(request.lane_id)
    assert asked == [1, 2, 2, 2], "lane 1 is empty until the next view"

    for _ in range(40):
        (request,) = policy.choose([thin, rich], {})
        got[request.lane_id] += 1
        policy.took(request.lane_id, 1 if request.lane_id == 1 else 100)
    assert got[1] >= 35, f"100 steps charged and 1 received would have cost group 1 its turns: {got}"


def test_a_group_that_could_not_use_its_share_is_not_owed_all_of_it():
    """Method: group 1 has one lane where it could use many, for long; then it gets them. Group 2 is still served."""
    lanes = [LaneView(1, "a", 1, weight=10)] + [LaneView(i, "a", 2) for i in range(10, 30)]
    policy = LanePolicy({"*": 8}, {"a": ONE}, kth_oldest=1000)
    serve(policy, Backlog(lanes), 8000)

    turns = steps_by(serve(policy, Backlog(lanes + [LaneView(i, "a", 1) for i in range(30, 50)]), 160), "group_id")

    assert turns[2] >= 40, turns


def test_a_stream_of_newcomers_does_not_shut_out_who_was_there():
    """Method: one new group of equal weight per claim, gone after one page; the old group must keep being served."""
    policy, old, turns = LanePolicy({"*": 1}, {"a": KindLimits(10, 9)}, kth_oldest=1000), LaneView(0, "a", 0), 0
    for newcomer in range(1, 500):
        (request,) = policy.choose([old, LaneView(newcomer, "a", newcomer)], {})
        policy.took(request.lane_id, request.n)
        turns += request.lane_id == 0
    assert turns >= 499 // 12, f"{turns} turns of 499"
    assert len(policy._rota[0].rounds[0].paid) < 30, "groups that are gone must be forgotten, or memory grows for ever"


def test_a_newcomer_starts_where_the_round_is_not_where_age_has_carried_others():
    """Method: turns for age carry light group 1 far ahead; a newcomer as heavy as group 2 must share with group 2."""
    lanes = [LaneView(i, "a", 1) for i in range(50)] + [LaneView(98, "a", 2, weight=1000)]
    policy = LanePolicy({"*": 1}, {"a": ONE})
    serve(policy, Backlog(lanes), 800)

    turns = steps_by(serve(policy, Backlog([*lanes, LaneView(99, "a", 3, weight=1000)]), 160), "group_id")

    assert abs(turns[2] - turns[3]) <= 10, turns


def test_a_group_that_was_away_does_not_collect_what_it_did_not_use():
    lanes = [LaneView(1, "a", 1), LaneView(2, "a", 2)]
    policy = LanePolicy({"*": 1}, {"a": ONE})
    serve(policy, Backlog(lanes), 10)
    serve(policy, Backlog(lanes[1:]), 1000)

    turns = steps_by(serve(policy, Backlog(lanes), 20), "group_id")

    assert abs(turns[1] - turns[2]) <= 2, turns


# -- order and its bound ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kth", [2, 8])
def test_high_priority_first_and_low_priority_at_every_kth_turn(kth):
    lanes = [LaneView(1, "a", 1, priority=0), LaneView(2, "a", 2, weight=1000, priority=9)]

    served = serve(LanePolicy({"*": 1}, {"a": ONE}, kth_oldest=kth), Backlog(lanes), 20 * kth)

    assert [lane.lane_id for lane, _ in served] == ([2] * (kth - 1) + [1]) * 20


@pytest.mark.parametrize("fresh", [True, False])
def test_later_stages_of_a_group_come_first(fresh):
    lanes = [LaneView(stage, "a", 1, stage=stage) for stage in (1, 3, 2)]
    policy = LanePolicy({"*": 1}, {"a": ONE}, kth_oldest=1000)

    served = serve(policy, Backlog(lanes, steps=3), 9 if fresh else 11, fresh=fresh)  # an old view: two ask in vain

    assert [lane.stage for lane, n in served if n] == [3, 3, 3, 2, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("seed", range(60))
def test_no_lane_waits_longer_than_the_bound(seed):
    """kth_oldest x the lanes its pool had when its wait began, in turns: under priorities, weights, stages, newcomers.

    Lanes come and pause at random; a paused lane's wait begins again when it opens, its age does not.
    """
    rng = random.Random(seed)
    kth, count = rng.choice([1, 2, 8]), rng.randint(1, 25)
    policy = LanePolicy({"*": rng.randint(1, 3)}, {"a": ONE, "b": KindLimits(5, 5)}, kth_oldest=kth)
    lanes = {i: any_lane(rng, i, kinds="ab") for i in range(count)}
    turn, known, due = 0, count, {}
    while turn < 1500:
        view = [lanes[i] for i in sorted(lanes)]
        for lane in view:
            due.setdefault(lane.lane_id, turn + kth * len(view)) if is_open(lane) else due.pop(lane.lane_id, None)
        requests = policy.choose(view, {})
        for request in requests:
            turn += 1
            assert turn <= due.pop(request.lane_id), f"seed {seed}: lane {request.lane_id} served late, turn {turn}"
            due[request.lane_id] = turn + kth * len(view)
            policy.took(request.lane_id, request.n)
        late = [lane_id for lane_id, last in due.items() if last < turn]
        assert not late, f"seed {seed}: lanes {late} still wait at turn {turn}"
        turn += not requests
        known = change_lanes(rng, lanes, known)


def any_lane(rng: random.Random, lane_id: int, kinds: str) -> LaneView:
    return LaneView(
        lane_id,
        rng.choice(kinds),
        group_id=rng.randint(1, 5),
        weight=rng.choice([1, 2, 5, 100]),
        priority=rng.choice([0, 0, 0, 5, -3]),
        paused=rng.random() < 0.1,
        full=rng.random() < 0.1,
        stage=rng.randint(0, 4),
        source=rng.choice(["", "s", "t"]),
    )


def is_open(lane: LaneView) -> bool:
    return not (lane.paused or lane.full)


def change_lanes(rng: random.Random, lanes: dict[int, LaneView], known: int) -> int:
    if rng.random() < 0.2 and len(lanes) < 60:
        lanes[known] = replace(any_lane(rng, known, kinds="ab"), priority=9)  # the worst newcomer: before all others
        known += 1
    if rng.random() < 0.2:
        lane_id = rng.choice(sorted(lanes))
        lanes[lane_id] = replace(lanes[lane_id], full=not lanes[lane_id].full)
    return known


def test_a_pause_does_not_make_a_lane_young():
    """Method: lane 1 waits longest, is paused for a while, and opens just before a turn for age."""
    old = LaneView(1, "a", 1, priority=-1)
    others = [LaneView(i, "a", i) for i in range(2, 6)]
    policy = LanePolicy({"*": 1}, {"a": ONE}, kth_oldest=100)
    serve(policy, Backlog([old, *others]), 10)
    serve(policy, Backlog([replace(old, paused=True), *others]), 89)

    assert policy.choose([old, *others], {}) == [LaneRequest(1, 1)]


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(200))
def test_no_limit_is_ever_exceeded_and_all_work_gets_done(seed):
    """A worker claims, runs and finishes at random; `Pools` asserts its counts, the loop asserts every request."""
    rng = random.Random(seed)
    kinds = {kind: KindLimits(rng.choice([1, 4, 64]), rng.choice([0, 0, 3, 100])) for kind in "abcd"}
    sizes = {"a": rng.randint(0, 4), "b": rng.randint(1, 3), "*": rng.randint(0, 4)}
    pools = Pools(sizes, {kind: limits.prefetch for kind, limits in kinds.items()})
    policy = LanePolicy(sizes, kinds, kth_oldest=rng.choice([1, 3, 8]), lanes_max=rng.randint(1, LANES_MAX))
    lanes = [any_lane(rng, i, kinds="abcdx") for i in range(rng.randint(1, 30))]
    backlog, view = Backlog(lanes), []
    backlog.steps = {lane.lane_id: rng.randint(0, 60) for lane in lanes}
    for _ in range(20_000):
        view = backlog.view() if rng.random() < 0.5 else view
        for request in policy.choose(view, pools.held):
            lane = backlog.lanes[request.lane_id]
            assert is_open(lane), f"seed {seed}: {lane} was asked"
            assert pools.serves(lane.kind), f"seed {seed}: {lane} is not served"
            assert 1 <= request.n <= kinds[lane.kind].page_max, f"seed {seed}: {request} of {lane}"
            n = backlog.give(request) if rng.random() < 0.9 else 0  # 0: others hold its rows
            if n:
                pools.take(lane.kind, n)
            if rng.random() < 0.95:  # else: the claim's reply was lost
                policy.took(request.lane_id, n)
        finish_some(rng, pools)
        if not any(pools.held.values()) and not left(backlog, pools):
            return
    pytest.fail(f"seed {seed}: {left(backlog, pools)} were never served; {pools!r}")


def finish_some(rng: random.Random, pools: Pools) -> None:
    for kind, held in list(pools.held.items()):
        if held and rng.random() < 0.7:
            pools.give(kind, rng.randint(1, held))


def left(backlog: Backlog, pools: Pools) -> list[LaneView]:
    return [lane for lane in backlog.view() if is_open(lane) and pools.serves(lane.kind) and lane.kind in "abcd"]


def test_a_worker_without_a_free_slot_asks_nothing():
    policy, lanes = LanePolicy({"a": 2, "*": 1}, {"a": ONE, "b": ONE}), [LaneView(1, "a", 1), LaneView(2, "b", 1)]

    assert policy.choose(lanes, {"a": 2, "b": 1}) == []
    assert policy.choose(lanes, {"a": 2}) == [LaneRequest(2, 1)]
    assert policy.choose([], {}) == []


def test_a_page_may_exceed_the_free_slots_by_the_prefetch_and_no_more():
    limits = {"a": KindLimits(page_max=500, prefetch=20), "b": KindLimits(page_max=500)}

    assert LanePolicy({"*": 4}, limits).choose([LaneView(1, "a", 1)], {"b": 1}) == [LaneRequest(1, 23)]
    assert LanePolicy({"*": 4}, limits).choose([LaneView(1, "b", 1)], {"b": 1}) == [LaneRequest(1, 3)]
    assert LanePolicy({"*": 4}, {"a": KindLimits(8, 20)}).choose([LaneView(1, "a", 1)], {}) == [LaneRequest(1, 8)]


@pytest.mark.parametrize(
    ("held", "asked"),
    [({"a": 22}, 0), ({"a": 15}, 0), ({"a": 12}, 10), ({"a": 3, "b": 1}, 0), ({"a": 1, "b": 2}, 0)],
)
def test_a_pool_of_prefetched_kinds_is_filled_up_before_it_runs_dry(held, asked):
    """At half the prefetch, and never behind a slow step: what waits here could be running elsewhere."""
    policy = LanePolicy({"*": 2}, {"a": KindLimits(500, 20), "b": ONE})

    assert sum(request.n for request in policy.choose([LaneView(1, "a", 1)], held)) == asked


def test_two_consumers_of_pages_both_get_one():
    policy = LanePolicy({"embed": 2}, {"embed": KindLimits(page_max=64, prefetch=126)})
    lanes = [LaneView(i, "embed", i) for i in range(3)]

    assert [request.n for request in policy.choose(lanes, {})] == [64, 64]


def test_a_slow_kind_is_not_shut_out_by_a_prefetched_one_in_its_pool():
    """Its turn is waited for, not skipped: without that, steps leased ahead would fill the pool for ever."""
    kinds = {"fast": KindLimits(50, 50), "slow": ONE}
    policy, pools = LanePolicy({"*": 2}, kinds), Pools({"*": 2}, {"fast": 50})
    lanes, got = [LaneView(1, "fast", 1), LaneView(2, "slow", 2)], Counter()
    for _ in range(2000):
        for request in policy.choose(list(lanes), pools.held):
            kind = lanes[request.lane_id - 1].kind
            pools.take(kind, request.n)
            policy.took(request.lane_id, request.n)
            got[kind] += 1
        for kind in kinds:
            if pools.held.get(kind):
                pools.give(kind, min(pools.held[kind], 5))
    assert abs(got["slow"] / got["fast"] - 1) < 0.1, f"turns: {got}"


def test_pools_begin_in_turn_so_a_claim_of_few_lanes_leaves_none_out():
    kinds = {f"k{i}": ONE for i in range(12)}
    policy, lanes, turns = LanePolicy(dict.fromkeys(kinds, 1), kinds), [], Counter()
    lanes = [LaneView(i, kind, 1) for i, kind in enumerate(kinds)]
    for _ in range(12):
        requests = policy.choose(lanes, {})
        assert len(requests) == LANES_MAX
        turns.update(request.lane_id for request in requests)
    assert set(turns.values()) == {LANES_MAX}


def test_a_lane_whose_answer_never_came_is_asked_again():
    policy, view = LanePolicy({"*": 1}, {"a": ONE}), [LaneView(1, "a", 1)]

    assert policy.choose(view, {}) == policy.choose(view, {}) == [LaneRequest(1, 1)]


# -- anything at all --------------------------------------------------------------------------------------------------

LANES = st.lists(
    st.builds(
        LaneView,
        lane_id=st.integers(1, 50),
        kind=st.sampled_from("abcx"),
        group_id=st.integers(1, 4),
        weight=st.integers(1, 10),
        priority=st.integers(-2, 2),
        paused=st.booleans(),
        full=st.booleans(),
        stage=st.integers(0, 3),
    ),
    unique_by=lambda lane: lane.lane_id,
    max_size=15,
)
LIMITS = st.builds(KindLimits, page_max=st.integers(1, 20), prefetch=st.integers(0, 20))


@settings(max_examples=300, deadline=None)
@given(
    views=st.lists(LANES, min_size=1, max_size=8),
    limits=st.fixed_dictionaries(dict.fromkeys("abc", LIMITS)),
    sizes=st.dictionaries(st.sampled_from("ab*"), st.integers(0, 5), min_size=1),
    held=st.fixed_dictionaries({kind: st.integers(0, 12) for kind in "abc"}),
    data=st.data(),
)
def test_whatever_the_lanes_a_choice_keeps_the_rules_and_is_repeatable(views, limits, sizes, held, data):
    policy, twin = LanePolicy(sizes, limits), LanePolicy(sizes, limits)
    for view in views:
        lanes = {lane.lane_id: lane for lane in view}
        requests = policy.choose(view, held)
        assert twin.choose(list(view), dict(held)) == requests, "the same inputs must give the same choices"
        assert len({request.lane_id for request in requests}) == len(requests) <= LANES_MAX
        leased = defaultdict(int)
        for kind, n in held.items():
            leased[pool_of(kind, sizes)] += n
        for request in requests:
            lane = lanes[request.lane_id]
            pool = pool_of(lane.kind, sizes)
            assert is_open(lane)
            assert lane.kind in limits
            assert pool is not None
            leased[pool] += request.n
            assert leased[pool] <= sizes[pool] + limits[lane.kind].prefetch
            assert 1 <= request.n <= limits[lane.kind].page_max
            n = data.draw(st.integers(0, request.n))
            policy.took(request.lane_id, n)
            twin.took(request.lane_id, n)
        served = {lane.lane_id for lane in view if is_open(lane) and has_free_slot(lane, limits, sizes, held)}
        assert bool(requests) or not served, "an open lane with a free slot must not be passed over"


def has_free_slot(lane: LaneView, limits: dict, sizes: dict, held: dict) -> bool:
    pool = pool_of(lane.kind, sizes)
    used = sum(n for kind, n in held.items() if pool_of(kind, sizes) == pool)
    return lane.kind in limits and pool is not None and used < sizes[pool]


@pytest.mark.parametrize("wrong", [{"kth_oldest": 0}, {"lanes_max": 0}])
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        LanePolicy({"*": 1}, {"a": ONE}, **wrong)
    for page_max, prefetch in ((0, 0), (1, -1)):
        with pytest.raises(UsageError, match="page_max"):
            KindLimits(page_max, prefetch)


def test_a_lane_named_twice_or_that_gave_too_much_is_a_bug_and_says_so():
    policy, lane = LanePolicy({"*": 1}, {"a": ONE}), LaneView(1, "a", 1)
    with pytest.raises(AssertionError, match="twice"):
        policy.choose([lane, lane], {})
    policy.choose([lane], {})
    with pytest.raises(AssertionError, match="gave 2 of 1"):
        policy.took(1, 2)
