"""finish_and_lease: what a finish has released goes to its own holder, if that has room, and to nobody twice."""

from __future__ import annotations

import pytest

from leasehold.kernel import groups, seats, steps
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import End, Room, Terms
from leasehold.testing.races import Race

JOIN = [WorkflowStep("a", (1, 2)), WorkflowStep("b", (3,)), WorkflowStep("c", (3,)), WorkflowStep("d")]


def room(kernel, *kinds, by="A", number=1, free=(10,), page_max=50, items=False):
    return Room(kernel.holder(by), number, free, {kind: Terms(0, page_max, 60.0, items) for kind in kinds})


def finish(kernel, lease, room, ended="succeeded"):
    ends = [End(lease.token, step, ended) for step, _ in lease.steps]
    return kernel.session.run(lambda connection: steps.finish_and_lease(connection, ends, room))


def leased(finished):
    return [step for one in finished.successors for step, _ in one.lease.steps]


def test_a_finish_leases_what_it_released_to_its_own_holder(kernel):
    runs = kernel.add_runs(3, "a", "b", "c")
    done = finish(kernel, kernel.claim("a", n=3), room(kernel, "b", items=True))
    assert done.verdicts == ["accepted"] * 3
    (one,) = done.successors
    assert [step for step, _ in one.lease.steps] == [run * 1024 + 1 for run in runs]
    assert [attempt for _, attempt in one.lease.steps] == [1, 1, 1]
    assert one.lease.items == ({"n": 0}, {"n": 1}, {"n": 2})
    assert (one.kind, one.group_id) == ("b", kernel.group_of(runs[0] * 1024))
    assert not done.released
    assert kernel.counted("ready") == 0
    last = finish(kernel, one.lease, room(kernel, "b", number=2))
    assert last.released  # "c" was not asked for
    assert kernel.succeed(kernel.claim("c", by="B", n=3)) == ["accepted"] * 3


def test_a_finish_sent_again_answers_with_the_same_leases_and_makes_no_others(kernel):
    kernel.add_runs(4, "a", "b")
    lease = kernel.claim("a", n=4)
    first = finish(kernel, lease, room(kernel, "b", free=(2,)))
    again = finish(kernel, lease, room(kernel, "b", free=(2,)))
    assert again.verdicts == ["already accepted"] * 4
    assert again.successors == first.successors
    assert kernel.counted("lease") == 1
    kernel.succeed(first.successors[0].lease)
    assert finish(kernel, lease, room(kernel, "b", free=(2,))).successors == ()
    assert kernel.counted("ready") == 2


def test_no_more_is_leased_than_the_pool_has_room_for_and_a_lease_may_cover(kernel):
    kernel.add_runs(9, "a", "b")
    done = finish(kernel, kernel.claim("a", n=4), room(kernel, "b", free=(3,)))
    assert len(leased(done)) == 3
    assert done.released
    done = finish(kernel, kernel.claim("a", n=5), room(kernel, "b", number=2, page_max=2))
    assert len(leased(done)) == 2
    assert len(kernel.claim("b", by="B", n=9).steps) == 4


def test_pools_have_room_of_their_own(kernel):
    group = kernel.group(steps=JOIN)
    kernel.add(group, 4)
    terms = {"b": Terms(0, 50, 60.0, False), "c": Terms(1, 50, 60.0, False)}
    done = finish(kernel, kernel.claim("a", n=4), Room(kernel.holder("A"), 1, (1, 3), terms))
    assert {one.kind: len(one.lease.steps) for one in done.successors} == {"b": 1, "c": 3}


def test_kinds_of_one_pool_share_its_room(kernel):
    group = kernel.group(steps=JOIN)
    kernel.add(group, 4)
    done = finish(kernel, kernel.claim("a", n=4), room(kernel, "b", "c", free=(5,)))
    assert sorted(len(one.lease.steps) for one in done.successors) == [1, 4]
    assert len(leased(done)) == 5


def test_a_join_is_leased_by_the_finish_of_its_last_parent(kernel):
    group = kernel.group(steps=JOIN)
    (run,) = kernel.add(group)
    branches = finish(kernel, kernel.claim("a"), room(kernel, "b", "c", "d"))
    b, c = branches.successors
    assert leased(finish(kernel, b.lease, room(kernel, "b", "c", "d", number=2))) == []
    assert leased(finish(kernel, c.lease, room(kernel, "b", "c", "d", number=3))) == [run * 1024 + 3]


@pytest.mark.parametrize(
    "why",
    [
        "its kind is held back",
        "its kind is paused",
        "its group is paused",
        "its group is cancelled",
        "its lane has a key",
    ],
)
def test_what_may_not_be_claimed_is_not_leased_either(kernel, why):
    step = kernel.add_step("a", "b")
    group = kernel.group_of(step)
    lease = kernel.claim("a")
    pause = (
        "insert into leasehold.pause values (%s, %s, leasehold.now() + interval '1 hour', leasehold.now(), 'me', '')"
    )
    if why == "its kind is paused":
        kernel.session.fetch(pause, ("kind", "b"))
    elif why == "its kind is held back":
        kernel.session.fetch(
            "insert into leasehold.breaker (kind, key, fingerprint, streak, reason, detail, strikes, opened_at, "
            "open_until) values ('b', '', 'x', 3, 'x', '', 1, leasehold.now(), leasehold.now() + interval '1 hour')"
        )
    elif why == "its group is paused":
        kernel.session.fetch(pause, ("group", str(group)))
    elif why == "its group is cancelled":
        kernel.cancel(group)
    else:
        kernel.session.fetch("select leasehold.lane_key(group_id, 'b', 'rag:/x') from leasehold.lane where kind = 'b'")
    assert leased(finish(kernel, lease, room(kernel, "b"))) == []
    assert kernel.state(step + 1) in ("ready", "cancelled")
    kernel.sweep()


def test_what_a_failure_or_a_snooze_leaves_is_nobodys_successor(kernel):
    kernel.add_runs(2, "a", "b")
    assert leased(finish(kernel, kernel.claim("a"), room(kernel, "a", "b"), "failed")) == []
    assert leased(finish(kernel, kernel.claim("a"), room(kernel, "a", "b", number=2), "snoozed")) == []


def test_nothing_follows_a_step_that_was_leased_alone(kernel):
    """It was suspected of killing its process; what comes after it goes to whoever asks."""
    kernel.add_runs(2, "a", "b")
    kernel.claim("a", by="dead", n=2)
    kernel.bury("dead")
    lease = kernel.claim("a")
    assert lease.alone
    done = finish(kernel, lease, room(kernel, "b"))
    assert done.successors == ()
    assert done.released


def test_a_finish_that_waits_for_the_reap_of_its_holder_is_lost_and_leases_nothing(database, kernel):
    step = kernel.add_step("a", "b")
    lease = kernel.claim("a")
    ends, holder = [End(lease.token, step, "succeeded")], kernel.holder("A")
    with Race(database) as race:
        race.begin("reaper")
        race.do("reaper", lambda c: kernel.within(c).bury("A"))
        race.start("A", lambda c: steps.finish_and_lease(c, ends, room(kernel, "b"))).waits()
        race.commit("reaper")
        done = race.result("A")
    assert done.verdicts == ["lost"]
    assert done.successors == ()
    assert kernel.session.fetch("select count(*) from leasehold.lease where holder_id = %s", (holder,)) == [(0,)]


def test_a_finish_takes_its_holder_before_its_leases_as_a_reaper_does(database, kernel):
    """Method: the reaper has the holder and not yet the leases. The other way round they would wait in a circle."""
    step = kernel.add_step("a", "b")
    lease = kernel.claim("a")
    ends = [End(lease.token, step, "succeeded")]
    with Race(database) as race:
        race.begin("reaper")
        lock = "select from leasehold.holder where holder_id = %s for update"
        race.do("reaper", lambda c: c.execute(lock, (kernel.holder("A"),)))
        race.start("A", lambda c: steps.finish_and_lease(c, ends, room(kernel, "b"))).waits()
        race.do("reaper", lambda c: kernel.within(c).bury("A"))
        race.commit("reaper")
        assert race.result("A").verdicts == ["lost"]


def test_a_reaper_passes_a_holder_that_is_finishing_and_takes_its_successor_the_next_time(database, kernel, clock):
    """Were it to wait for the finished lease, it would miss the one that comes into being meanwhile."""
    step = kernel.add_step("a", "b")
    lease = kernel.claim("a")
    kernel.holder("B")
    ends = [End(lease.token, step, "succeeded")]
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: steps.finish_and_lease(c, ends, room(kernel, "b")))
        clock.advance(31)
        kernel.heartbeat("B")
        assert kernel.reap("B") == []
        race.start("undertaker", lambda c: kernel.within(c).bury("A")).waits()
        race.commit("A")
        buried = race.result("undertaker")
    assert buried.charged == step + 1  # the only step its holder held
    assert kernel.state(step + 1) == "delayed"


def test_claims_and_heartbeats_of_a_holder_do_not_wait_for_its_finish(database, kernel):
    kernel.add_runs(2, "a", "b")
    lease = kernel.claim("a")
    ends = [End(lease.token, step, "succeeded") for step, _ in lease.steps]
    lanes = [lane.lane_id for lane in kernel.lanes("a")]
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: steps.finish_and_lease(c, ends, room(kernel, "b")))
        assert len(race.do("claimer", lambda c: kernel.within(c).claim_lanes(lanes, n=1))) == 1
        assert race.do("keeper", lambda c: kernel.within(c).heartbeat("A")) != {}
        race.commit("A")


def test_a_workers_room_is_of_this_release_and_an_older_finish_still_works(kernel):
    """Programs of earlier releases call finish with seven arguments."""
    step = kernel.add_step("a", "b")
    lease = kernel.claim("a")
    old = "select * from leasehold.finish(%s::bigint[], %s::bigint[], '{}', '{}', '{}', '{}', '{}')"
    assert kernel.session.fetch(old, ([lease.token], [step])) == []
    assert kernel.state(step + 1) == "ready"


def test_two_finishes_of_one_lease_each_have_successors_of_their_own(kernel):
    kernel.add_runs(2, "a", "b")
    lease = kernel.claim("a", n=2)
    pairs = [[End(lease.token, step, "succeeded")] for step, _ in lease.steps]
    for number, ends in enumerate(pairs, 1):
        asked = room(kernel, "b", number=number)
        done = kernel.session.run(lambda c, ends=ends, asked=asked: steps.finish_and_lease(c, ends, asked))
        assert leased(done) == [ends[0].step_id + 1]
    assert kernel.counted("lease") == 2
    assert groups.open_ids(kernel.session)


def test_a_successor_that_needs_a_seat_becomes_ready_and_is_claimed_with_one(kernel):
    """Behind a lock, and of a kind with a share: the limit must not be passed by a finish."""
    seats.set_limit(kernel.session, "kind:b", 1)
    kernel.add_runs(3, "a", "b")
    assert leased(finish(kernel, kernel.claim("a", n=3), room(kernel, "b"))) == []
    assert len(kernel.claim("b", by="B", n=3).steps) == 1
    workflow = groups.register(kernel.session, "locked", groups.chain("c", "d"))
    group, _ = groups.open_group(kernel.session, workflow, seats={"d": "rag:/data/kb"})
    kernel.add(group, 2)
    assert leased(finish(kernel, kernel.claim("c", n=2), room(kernel, "d", number=2))) == []
    assert kernel.claim("d", by="B", n=1) is not None
    assert kernel.claim("d", by="C", n=1) is None
