"""Seats: places at resources, taken with a claim or by a holder without a step, and never more than there are."""

from __future__ import annotations

import random

import pytest

from leasehold.errors import HolderGone, NotFound, Refused, SeatLost, UsageError
from leasehold.kernel import checks, groups, holders, seats, steps
from leasehold.kernel.seats import Seat, Turned
from leasehold.testing.races import Race, deadlocks, together

LOCK = "rag:/data/kb"


def locked_group(kernel, key=LOCK, n=1, kind="work", label=""):
    """A sealed group of *n* runs whose steps stand behind *key*."""
    workflow = groups.register(kernel.session, "test", groups.chain(kind))
    group, _ = groups.open_group(kernel.session, workflow, seats={kind: key}, label=label)
    kernel.add(group, n)
    kernel.seal(group)
    return group


def take(kernel, by="cli", key=LOCK, *, wait=False):
    return seats.take(kernel.session, kernel.holder(by), key, wait=wait)


def who(kernel, key=LOCK):
    return [one.name for one in seats.taken(kernel.session, key)]


def full(kernel, kind="work"):
    return [lane.full for lane in kernel.lanes(kind)]


def usage(kernel, key):
    (resource,) = seats.resources(kernel.session, key)
    return resource.taken, resource.seats


# -- locks and claims -------------------------------------------------------------------------------------------------


def test_two_leases_behind_one_key_never_overlap_and_behind_two_they_do(kernel):
    locked_group(kernel, n=2), locked_group(kernel, "rag:/data/other", kind="other")
    first = kernel.claim(by="A")
    assert kernel.claim(by="B") is None
    assert full(kernel) == [True]
    assert kernel.claim("other", by="B") is not None
    kernel.succeed(first)
    assert kernel.claim(by="B") is not None


def test_one_seat_covers_the_page_taken_under_it_and_comes_back_with_its_last_step(kernel):
    locked_group(kernel, n=5)
    lease = kernel.claim(n=4)
    assert len(lease.steps) == 4
    assert usage(kernel, LOCK) == (1, 1)
    kernel.succeed(lease, only=[step for step, _ in lease.steps[:3]])
    assert usage(kernel, LOCK) == (1, 1)
    kernel.succeed(lease, only=[lease.steps[3][0]])
    assert usage(kernel, LOCK) == (0, 1)


def test_the_seats_token_is_the_leases_and_the_tokens_of_a_resource_only_rise(kernel):
    locked_group(kernel, n=2)
    seen = []
    for _ in range(2):
        lease = kernel.claim()
        seen.append(seats.taken(kernel.session, LOCK)[0].token)
        assert seen[-1] == lease.token
        kernel.succeed(lease)
        seat = take(kernel)
        seen.append(seat.token)
        assert seats.give_back(kernel.session, seat)
    assert seen == sorted(set(seen))


def test_a_claim_that_gets_no_seat_takes_from_its_next_lane_and_leaves_no_trace(kernel):
    locked_group(kernel), kernel.add_step("free")
    take(kernel)
    before = kernel.session.fetch("select * from leasehold.seat")
    lanes = [lane.lane_id for lane in kernel.lanes("work", "free")]
    (lease,) = kernel.claim_lanes(lanes)
    assert lease.lane_id == lanes[1]
    assert kernel.session.fetch("select * from leasehold.seat") == before


def test_a_claim_that_is_rolled_back_leaves_neither_seat_nor_lease(database, kernel):
    locked_group(kernel)
    kernel.holder("A")
    lane = kernel.lanes("work")[0].lane_id
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).claim_lanes([lane]))
        race.rollback("A")
    assert (usage(kernel, LOCK), kernel.counted("lease"), kernel.counted("ready")) == ((0, 1), 0, 1)


def test_of_two_claims_for_one_seat_at_once_one_wins_and_the_loser_does_not_wait(database, kernel):
    locked_group(kernel, n=2)
    kernel.holder("A"), kernel.holder("B")
    lane = kernel.lanes("work")[0].lane_id
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda connection: kernel.within(connection).claim_lanes([lane], "A"))
        assert not race.do("B", lambda connection: kernel.within(connection).claim_lanes([lane], "B"))
        race.commit("A")
    assert who(kernel) == ["A"]


SLOW_LOOK = """
alter function leasehold.seats_free(text, boolean) rename to seats_free_at_once;
create function leasehold.seats_free(p_key text, p_leases boolean) returns integer[] language plpgsql as $$
declare
    v_free constant integer[] := leasehold.seats_free_at_once(p_key, p_leases);
begin
    if current_setting('test.slow', true) = 'on' then
        perform pg_advisory_xact_lock_shared(4711);
    end if;
    return v_free;
end $$"""


def test_a_claim_looks_at_a_seat_again_when_it_has_locked_it(database, kernel):
    """Somebody may have taken it, and committed, between the look at the free seats and the lock.

    Method: the look of one session waits, when it is made, at a lock that the test has.
    """
    locked_group(kernel)
    kernel.holder("B")
    lane = kernel.lanes("work")[0].lane_id
    kernel.session.connection.execute(SLOW_LOOK)
    with Race(database) as race:
        race.do("gate", lambda connection: connection.execute("select pg_advisory_lock(4711)"))
        race.do("B", lambda connection: connection.execute("set test.slow = 'on'"))
        claiming = race.start("B", lambda connection: kernel.within(connection).claim_lanes([lane], "B")).waits()
        assert isinstance(take(kernel, "A"), Seat)
        race.do("gate", lambda connection: connection.execute("select pg_advisory_unlock(4711)"))
        assert not claiming.result()
    assert who(kernel) == ["A"]


def test_a_lane_whose_lock_is_taken_does_not_ask_for_a_holder_alone(kernel):
    """A step under suspicion behind a taken lock: its lane is passed over, so its would-be worker goes on working."""
    locked_group(kernel, n=2), kernel.add_runs(2, "free")
    (kernel.claim(by="A", n=2))
    kernel.bury("A")
    kernel.claim("free", by="B")
    (lane,) = [lane.lane_id for lane in kernel.lanes("work")]

    def waiting(number):
        request = steps.LaneRequest(lane, 1, 0, 60)
        return steps.claim(kernel.session, kernel.holder("B"), number, [request]).alone_waiting

    assert waiting(8) == (lane,)
    take(kernel)
    assert waiting(9) == ()


def test_every_way_a_lease_ends_gives_its_seat_back(kernel, clock):
    def end(how):
        key = f"rag:/{how}"
        group = locked_group(kernel, key, kind=how)
        lease = kernel.claim(how, by=how, deadline_s=5)
        assert usage(kernel, key)[0] == 1
        match how:
            case "succeeded" | "failed" | "error" | "snoozed":
                kernel.finish(lease, how, delay_s=1000)
            case "released":
                kernel.release(lease)
            case "left":
                kernel.leave(how)
            case "killed":
                kernel.bury(how)
            case "cancelled":
                kernel.cancel(group)
                kernel.sweep()
            case "expired":
                clock.advance(6)
                kernel.expire_leases()
            case "reaped":
                clock.advance(31)
                kernel.reap("keeper")
        assert usage(kernel, key) == (0, 1), how
        assert checks.violations(kernel.session) == []

    for how in ("succeeded", "failed", "error", "snoozed", "released", "left", "killed", "cancelled", "expired"):
        end(how)
    kernel.holders.clear()
    end("reaped")


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_kinds_share_holds_over_all_workers_and_a_step_that_ends_makes_room(kernel):
    kernel.add_runs(10)
    seats.set_limit(kernel.session, "kind:work", 3)
    one, two = kernel.claim(by="A", n=2), kernel.claim(by="B", n=5)
    assert (len(one.steps), len(two.steps)) == (2, 1)
    assert kernel.claim(by="C") is None
    assert full(kernel) == [True]
    kernel.succeed(one, only=[one.steps[0][0]])
    assert usage(kernel, "kind:work") == (2, 3)
    assert len(kernel.claim(by="C", n=9).steps) == 1


def test_a_limit_set_while_work_is_under_way_counts_from_the_next_claim(kernel):
    kernel.add_runs(4)
    old = kernel.claim(by="A", n=2)
    seats.set_limit(kernel.session, "kind:work", 1)
    new = kernel.claim(by="B", n=2)
    assert len(new.steps) == 1
    kernel.succeed(old), kernel.succeed(new)
    assert usage(kernel, "kind:work") == (0, 1)


def test_growing_gives_seats_at_once_and_shrinking_takes_them_as_they_come_back(kernel):
    kernel.add_runs(20)
    seats.set_limit(kernel.session, "kind:work", 2)
    held = [kernel.claim(by="A", n=9)]
    assert seats.set_limit(kernel.session, "kind:work", 5) == (2, 2)
    held.append(kernel.claim(by="B", n=9))
    assert [len(lease.steps) for lease in held] == [2, 3]
    assert seats.set_limit(kernel.session, "kind:work", 2) == (5, 5)
    for left in (4, 3, 2):
        lease = held[left % 2]
        step = lease.steps[0][0]
        kernel.succeed(lease, only=[step])
        held[left % 2] = steps.Lease(lease.token, lease.lane_id, lease.steps[1:], None, False)
        assert usage(kernel, "kind:work") == (left, 2)
        assert kernel.claim(by="C") is None
        assert checks.violations(kernel.session) == []
    lease = next(lease for lease in held if lease.steps)
    kernel.succeed(lease, only=[lease.steps[0][0]])
    assert usage(kernel, "kind:work") == (1, 2)
    assert kernel.claim(by="C") is not None


def test_a_limit_of_none_stops_a_kind_and_removing_it_lets_it_go(kernel):
    kernel.add_step()
    seats.set_limit(kernel.session, "kind:work", 0)
    assert kernel.claim() is None
    assert seats.remove_limit(kernel.session, "kind:work")
    assert not seats.remove_limit(kernel.session, "kind:work")
    assert kernel.claim() is not None


def test_a_paused_resource_gives_no_seat_to_anybody_until_its_time(kernel, clock):
    locked_group(kernel)
    seats.pause(kernel.session, LOCK, for_s=60)
    assert kernel.claim() is None
    assert full(kernel) == [True]
    assert take(kernel) == Turned("paused", None)
    clock.advance(61)
    seat = take(kernel)
    assert isinstance(seat, Seat)
    seats.give_back(kernel.session, seat)
    seats.pause(kernel.session, LOCK)
    clock.advance(10_000_000)
    assert kernel.claim() is None
    assert seats.resume(kernel.session, LOCK)
    kernel.holders.clear()
    assert kernel.claim() is not None


def test_a_writers_lock_cannot_be_given_two_seats(kernel):
    with pytest.raises(UsageError):
        seats.set_limit(kernel.session, LOCK, 2)


def test_what_a_seat_covers_is_not_changed_while_one_is_taken(kernel):
    """Or leases would keep more seats, or fewer, than they need."""
    kernel.add_runs(4)
    seats.set_limit(kernel.session, "kind:work", 3)
    lease = kernel.claim(n=2)
    with pytest.raises(Refused, match="2 seats of kind:work are taken; each covers a step"):
        seats.set_limit(kernel.session, "kind:work", 2, per="page")
    assert usage(kernel, "kind:work") == (2, 3)
    assert seats.set_limit(kernel.session, "kind:work", 2, per="step") == (3, 2)
    kernel.succeed(lease)
    assert seats.set_limit(kernel.session, "kind:work", 1, per="page") == (2, 0)
    assert len(kernel.claim(n=2).steps) == 2


def test_what_is_in_use_is_not_removed(kernel):
    locked_group(kernel)
    with pytest.raises(Refused):
        seats.remove_limit(kernel.session, LOCK)
    take(kernel, key="model:x")
    with pytest.raises(Refused):
        seats.remove_limit(kernel.session, "model:x")


def test_a_lane_that_is_put_behind_a_limit_while_that_is_removed_gets_it_anew_and_nobody_deadlocks(database, kernel):
    group = kernel.group()
    take(kernel, key="model:x"), kernel.leave("cli")
    with Race(database) as race:
        race.begin("operator")
        race.do("operator", lambda connection: seats.remove_limit(kernel.within(connection).session, "model:x"))
        race.start(
            "submitter",
            lambda connection: connection.execute("select leasehold.lane_key(%s, 'work', 'model:x')", (group,)),
        ).waits()
        race.commit("operator")
        race.result("submitter")
    assert usage(kernel, "model:x") == (0, 1)
    assert deadlocks(database) == 0


def test_resizing_waits_for_a_claim_that_is_at_a_seat(database, kernel):
    """Aim: no free seat is deleted from under a claim, and none above the limit is left behind free."""
    kernel.add_runs(4)
    seats.set_limit(kernel.session, "kind:work", 2)
    kernel.holder("A")
    lane = kernel.lanes("work")[0].lane_id
    with Race(database) as race:
        race.begin("A")
        (lease,) = race.do("A", lambda connection: kernel.within(connection).claim_lanes([lane], "A", 2))
        race.start(
            "operator",
            lambda connection: seats.set_limit(kernel.within(connection).session, "kind:work", 1),
        ).waits()
        race.commit("A")
        assert race.result("operator") == (2, 2)
    kernel.succeed(lease)
    assert usage(kernel, "kind:work") == (0, 1)


def test_a_seat_that_is_coming_back_while_the_limit_shrinks_is_not_left_above_it(database, kernel):
    kernel.add_runs(4)
    seats.set_limit(kernel.session, "kind:work", 2)
    lease = kernel.claim(n=2)
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).succeed(lease))
        race.start(
            "operator",
            lambda connection: seats.set_limit(kernel.within(connection).session, "kind:work", 1),
        ).waits()
        race.commit("A")
        race.result("operator")
    assert usage(kernel, "kind:work") == (0, 1)


def test_a_step_behind_two_resources_needs_a_seat_at_both(kernel):
    locked_group(kernel, n=3)
    seats.set_limit(kernel.session, "kind:work", 2)
    lease = kernel.claim(n=3)
    assert len(lease.steps) == 2
    assert (usage(kernel, LOCK), usage(kernel, "kind:work")) == ((1, 1), (2, 2))
    kernel.succeed(lease)
    seat = take(kernel, key="kind:work")
    assert isinstance(seat, Seat)
    take(kernel, by="other", key="kind:work")
    assert kernel.claim() is None
    assert usage(kernel, LOCK) == (0, 1)


# -- holders without a step -------------------------------------------------------------------------------------------


def test_the_same_holder_asking_again_keeps_its_seat_and_another_is_refused(kernel):
    seat = take(kernel)
    assert take(kernel) == seat
    assert take(kernel, "other") == Turned("held", None)


@pytest.mark.parametrize("kind", ["worker", "cli", "web", "hook", "sql"])
def test_every_kind_of_holder_meets_at_the_same_key(kernel, kind):
    locked_group(kernel)
    holder = holders.join(kernel.session, kind=kind, name=kind, ttl_s=30)
    seat = seats.take(kernel.session, holder, "rag:/data/kb/leasehold.lancedb/")
    assert isinstance(seat, Seat)
    assert kernel.claim() is None
    assert take(kernel) == Turned("held", None)
    assert seats.give_back(kernel.session, seat)
    assert kernel.claim() is not None


def test_giving_back_may_be_sent_again_and_is_refused_and_counted_when_the_seat_is_somebody_elses(kernel):
    seat = take(kernel)
    assert seats.give_back(kernel.session, seat)
    assert seats.give_back(kernel.session, seat)
    assert kernel.refused("give back") == 0
    other = take(kernel, "other")
    assert not seats.give_back(kernel.session, seat)
    assert not seats.give_back(kernel.session, Seat(LOCK, kernel.holder(), other.token))
    assert kernel.refused("give back") == 2
    assert who(kernel) == ["other"]


def test_a_seat_that_serves_a_lease_comes_back_with_that_and_not_by_hand(kernel):
    locked_group(kernel)
    lease = kernel.claim(by="A")
    assert not seats.give_back(kernel.session, Seat(LOCK, kernel.holder("A"), lease.token))
    assert who(kernel) == ["A"]
    assert kernel.refused("give back") == 1
    kernel.succeed(lease)
    assert who(kernel) == []


def test_a_heartbeat_keeps_a_seat_over_many_ttls_and_names_it(kernel, clock):
    seat = take(kernel)
    for _ in range(5):
        clock.advance(20)
        assert kernel.heartbeat("cli") == {"cli": {seat.token}}
        assert kernel.reap("keeper") == []
    assert take(kernel, "other") == Turned("held", None)


def test_a_seat_is_not_taken_over_while_its_holder_may_live_and_exactly_once_when_it_does_not(database, kernel, clock):
    seat = take(kernel)
    names = [f"thief {i}" for i in range(6)]
    for name in names:
        kernel.holder(name, ttl_s=600)
    clock.advance(29)
    assert take(kernel, names[0]) == Turned("held", None)
    clock.advance(2)
    assert take(kernel, names[0]) == Turned("held", None)  # expired, and not reaped: the rows decide

    def steal(name):
        def work(session):
            mine = kernel.on(session)
            mine.reap(name)
            return take(mine, name)

        return work

    won = [answer for answer in together(database, [steal(name) for name in names]) if isinstance(answer, Seat)]
    assert len(won) == 1
    assert won[0].token > seat.token
    assert not seats.give_back(kernel.session, seat)
    with pytest.raises(HolderGone):
        take(kernel)


def test_an_ended_holder_takes_nothing_and_keeps_no_place_in_line(kernel):
    seat = take(kernel)
    take(kernel, "waits", wait=True)
    kernel.leave("waits")
    assert seats.line(kernel.session, LOCK) == []
    kernel.leave("cli")
    with pytest.raises(HolderGone):
        take(kernel)
    assert usage(kernel, LOCK) == (0, 1)
    assert not seats.give_back(kernel.session, seat)


def test_a_take_that_meets_the_end_of_its_holder_gets_nothing(database, kernel, clock):
    kernel.holder("cli")
    clock.advance(31)
    with Race(database) as race:
        race.begin("reaper")
        race.do("reaper", lambda connection: kernel.within(connection).reap("reaper"))
        race.start("cli", lambda connection: take(kernel.within(connection))).waits()
        race.commit("reaper")
        with pytest.raises(Exception, match="has ended"):
            race.result("cli")
    assert who(kernel) == []


def test_a_kinds_share_does_not_come_into_being_by_being_asked_for(kernel):
    with pytest.raises(NotFound, match="no limit kind:parse"):
        take(kernel, key="kind:parse")


def test_of_many_takers_at_once_no_more_get_a_seat_than_there_are(database, kernel):
    seats.set_limit(kernel.session, "model:x", 3)
    names = [f"taker {i}" for i in range(8)]
    for name in names:
        kernel.holder(name)
    answers = together(database, [lambda s, n=n: take(kernel.on(s), n, "model:x") for n in names])
    assert sum(isinstance(answer, Seat) for answer in answers) == 3


def test_a_write_under_a_lost_seat_is_refused_and_counted_and_one_under_a_held_seat_is_safe(database, kernel):
    seat = take(kernel)
    touch = "insert into leasehold.event (name, group_id, at) values ('written', 0, leasehold.now())"
    assert seats.guarded(kernel.session, seat, lambda connection: bool(connection.execute(touch)))
    with Race(database) as race:
        race.begin("writer")
        assert race.do("writer", lambda connection: seats.confirm(connection, seat))
        race.start(
            "operator",
            lambda connection: seats.break_(kernel.within(connection).session, LOCK, by="me", force=True),
        ).waits()
        race.commit("writer")
        assert [one.verdict for one in race.result("operator")] == ["broken"]
    with pytest.raises(SeatLost):
        seats.guarded(kernel.session, seat, lambda connection: connection.execute(touch))
    assert kernel.counted("event") == 1
    assert kernel.refused("confirm seat") == 1


# -- the line ---------------------------------------------------------------------------------------------------------


def test_the_line_is_served_in_its_order(kernel):
    seat = take(kernel)
    assert [take(kernel, name, wait=True).place for name in ("one", "two", "three")] == [1, 2, 3]
    assert take(kernel, "pushes in") == Turned("held", None)
    seats.give_back(kernel.session, seat)
    assert take(kernel, "pushes in") == Turned("held", None)
    assert take(kernel, "two", wait=True) == Turned("held", 2)
    one = take(kernel, "one", wait=True)
    seats.give_back(kernel.session, one)
    assert isinstance(take(kernel, "two", wait=True), Seat)
    assert [one.name for one in seats.line(kernel.session, LOCK)] == ["three"]


def test_who_asks_no_more_is_passed_over(kernel, clock):
    take(kernel, "dead", wait=False)
    take(kernel, "silent", wait=True)
    take(kernel, "asks", wait=True)
    kernel.leave("dead")
    clock.advance(6)
    assert isinstance(take(kernel, "asks", wait=True), Seat)


def test_who_leaves_the_line_is_no_longer_waited_for(kernel):
    seat = take(kernel)
    take(kernel, "one", wait=True)
    take(kernel, "two", wait=True)
    seats.leave_line(kernel.session, kernel.holder("one"), LOCK)
    seats.give_back(kernel.session, seat)
    assert isinstance(take(kernel, "two", wait=True), Seat)


def test_a_maintenance_job_is_not_starved_by_a_stream_of_steps(kernel, clock):
    """The bound: whoever waits first gets the next seat that comes back. Method: workers claim whenever they can."""
    locked_group(kernel, n=30)
    turns = []
    lease = kernel.claim(by="A")
    take(kernel, "vacuum", wait=True)
    for _ in range(3):
        kernel.succeed(lease)
        assert kernel.claim(by="B") is None
        seat = take(kernel, "vacuum", wait=True)
        turns.append(type(seat).__name__)
        seats.give_back(kernel.session, seat)
        take(kernel, "vacuum 2", wait=True)
        lease = kernel.claim(by="A")
        assert lease is not None
        seats.leave_line(kernel.session, kernel.holder("vacuum 2"), LOCK)
        take(kernel, "vacuum", wait=True)
    assert turns == ["Seat"] * 3


def test_a_stream_of_lock_takers_does_not_starve_steps(kernel):
    """The bound: of two that wait on both sides, each side gets every second turn of the seat."""
    locked_group(kernel, n=10)
    turns, names = [], (str(i) for i in range(1, 20))
    held, waiting = take(kernel, "0"), next(names)
    for _ in range(8):
        take(kernel, waiting, wait=True)
        seats.give_back(kernel.session, held) if isinstance(held, Seat) else kernel.succeed(held)
        held = take(kernel, waiting, wait=True)
        if isinstance(held, Seat):
            turns, waiting = [*turns, "line"], next(names)
        else:
            turns, held = [*turns, "step"], kernel.claim()
        assert held is not None
    assert turns == ["step", "line"] * 4


def test_a_side_that_does_not_come_costs_the_other_no_more_than_seconds(kernel, clock):
    """Steps that no worker wants keep a lock taker out for 5 seconds, and the other way round."""
    locked_group(kernel, n=2)
    seats.give_back(kernel.session, take(kernel))
    assert take(kernel, "next", wait=True) == Turned("held", 1)
    clock.advance(5.1)
    seat = take(kernel, "next", wait=True)
    assert isinstance(seat, Seat)
    seats.give_back(kernel.session, seat)
    lease = kernel.claim()
    take(kernel, "gone", wait=True)
    kernel.succeed(lease)
    assert kernel.claim(by="B") is None
    clock.advance(5.1)
    assert kernel.claim(by="B") is not None


def test_leases_keep_back_no_more_seats_than_holders_wait(kernel):
    kernel.add_runs(20)
    seats.set_limit(kernel.session, "kind:work", 4)
    lease = kernel.claim(n=4)
    take(kernel, "waits", key="kind:work", wait=True)
    kernel.succeed(lease)
    assert len(kernel.claim(n=9).steps) == 3
    assert isinstance(take(kernel, "waits", key="kind:work", wait=True), Seat)


# -- breaking ---------------------------------------------------------------------------------------------------------

AGES = {"fresh": 1, "late": 20, "expired": 40, "long expired": 4000}
BREAKS = {
    "safe": ({}, {"expired", "long expired"}),
    "max-age": ({"max_age_s": 1800}, {"long expired"}),
    "force": ({"force": True}, set(AGES)),
    "force and max-age": ({"force": True, "max_age_s": 10}, {"late", "expired", "long expired"}),
}


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize(("host", "pid"), [("here", "living pid"), ("here", "dead pid"), ("elsewhere", "dead pid")])
def test_only_the_last_heartbeat_decides_whether_a_lock_may_be_broken(kernel, clock, how, age, host, pid):
    """Never the lock's age, a pid or a host: one seat is taken long ago and kept by heartbeats, then heard no more."""
    seat = take(kernel)
    kernel.session.fetch(
        "update leasehold.holder set host = case when %s = 'here' then host else 'far.example' end, "
        "pid = case when %s = 'dead pid' then 4194304 else pid end",
        (host, pid),
    )
    for _ in range(20):
        clock.advance(29)
        kernel.heartbeat("cli")
    clock.advance(AGES[age])
    options, breakable = BREAKS[how]

    (answer,) = seats.break_(kernel.session, LOCK, by="root@here", reason="stuck", **options)

    assert (answer.verdict == "broken") == (age in breakable), answer
    assert answer.heard_s == pytest.approx(AGES[age])
    assert who(kernel) == ([] if age in breakable else ["cli"])
    audit = kernel.session.fetch("select key, token, forced, by_whom, reason from leasehold.seat_break")
    assert audit == ([(LOCK, seat.token, "force" in how, "root@here", "stuck")] if age in breakable else [])
    assert seats.give_back(kernel.session, seat) == (age not in breakable)


def test_breaking_what_nobody_has_changes_nothing(kernel):
    assert seats.break_(kernel.session, LOCK, by="me", force=True) == []
    seats.give_back(kernel.session, take(kernel))
    assert seats.break_(kernel.session, LOCK, by="me", force=True) == []
    assert kernel.session.fetch("select count(*) from leasehold.seat_break") == [(0,)]


def test_ones_own_lock_is_broken_like_anybodys(kernel):
    seat = take(kernel)
    assert [one.verdict for one in seats.break_(kernel.session, LOCK, by="me", force=True)] == ["broken"]
    assert not seats.give_back(kernel.session, seat)
    again = take(kernel)
    assert again.token > seat.token


def test_a_broken_seat_takes_its_lease_with_it_uncharged_and_the_late_finish_is_refused(kernel):
    locked_group(kernel, n=3)
    lease = kernel.claim(n=2)
    (answer,) = seats.break_(kernel.session, LOCK, by="me", force=True)
    assert (answer.verdict, answer.steps) == ("broken", 2)
    assert kernel.heartbeat("A") == {"A": frozenset()}
    assert kernel.succeed(lease) == ["lost", "lost"]
    assert kernel.refused() == 2
    again = kernel.claim(by="B", n=3)
    assert [attempt for _, attempt in again.steps] == [1, 1, 1]


def test_a_break_that_waits_for_a_heartbeat_spares_its_holder(database, kernel, clock):
    take(kernel)
    clock.advance(40)
    with Race(database) as race:
        race.begin("cli")
        race.do("cli", lambda connection: kernel.within(connection).heartbeat("cli"))
        race.start(
            "operator", lambda connection: seats.break_(kernel.within(connection).session, LOCK, by="me")
        ).waits()
        race.commit("cli")
        assert [one.verdict for one in race.result("operator")] == ["living"]
    assert who(kernel) == ["cli"]


def test_a_break_that_waits_for_a_finish_breaks_nothing(database, kernel):
    locked_group(kernel)
    lease = kernel.claim()
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).succeed(lease))
        race.start(
            "operator", lambda connection: seats.break_(kernel.within(connection).session, LOCK, by="me", force=True)
        ).waits()
        race.commit("A")
        assert [one.verdict for one in race.result("operator")] == ["given back meanwhile"]
    assert kernel.session.fetch("select count(*) from leasehold.seat_break") == [(0,)]


def test_a_cancelled_group_with_a_running_step_leaves_no_orphan_seat(kernel):
    group = locked_group(kernel)
    kernel.claim()
    kernel.cancel(group)
    kernel.sweep()
    assert isinstance(take(kernel), Seat)


# -- opposite orders --------------------------------------------------------------------------------------------------


def test_two_resources_wanted_in_opposite_order_by_many_at_once_do_not_deadlock_and_tokens_rise(database, kernel):
    """Steps behind two keys each and a share, holders that take both keys either way round, an operator who breaks and
    resizes. The server's own count of deadlocks is what is asserted, and each resource's tokens as they were seen."""
    one, two = "model:a", "model:b"
    for key in (one, two):
        seats.set_limit(kernel.session, key, 2, per="page")
    seats.set_limit(kernel.session, "kind:a", 5), seats.set_limit(kernel.session, "kind:b", 5)
    for kind, key in (("a", one), ("b", two), ("a", two), ("b", one)):
        locked_group(kernel, key, n=60, kind=kind, label=f"{kind}{key}")
    names = [f"worker {i}" for i in range(4)]
    takers = [f"taker {i}" for i in range(2)]
    for name in names + takers:
        kernel.holder(name)
    seen: dict[tuple[str, str], list[int]] = {}

    def worker(name, seed):
        def work(session):
            draw, mine, held = random.Random(seed), kernel.on(session), []
            for _ in range(25):
                lanes = [lane.lane_id for lane in mine.lanes("a", "b")]
                draw.shuffle(lanes)
                held += mine.claim_lanes(lanes, name, draw.choice([1, 3]))
                draw.shuffle(held)
                while len(held) > 2 or (held and draw.random() < 0.5):
                    mine.succeed(held.pop())
            for lease in held:
                mine.release(lease)

        return work

    def taker(name, seed):
        def work(session):
            draw, mine = random.Random(seed), kernel.on(session)
            for _ in range(30):
                keys = [one, two]
                draw.shuffle(keys)
                got = [
                    seat for key in keys if isinstance(seat := take(mine, name, key, wait=draw.random() < 0.5), Seat)
                ]
                for seat in got:
                    seen.setdefault((name, seat.key), []).append(seat.token)
                    seats.give_back(session, seat)

        return work

    def operator(session):
        draw = random.Random(7)
        for turn in range(30):
            seats.set_limit(session, draw.choice([one, two, "kind:a", "kind:b"]), draw.randint(1, 4))
            if turn % 5 == 0:
                seats.break_(session, draw.choice([one, two]), by="me", force=True)
            groups.fold_all(session)

    together(
        database,
        [worker(name, i) for i, name in enumerate(names)]
        + [taker(name, i) for i, name in enumerate(takers)]
        + [operator],
    )
    assert deadlocks(database) == 0
    assert checks.violations(kernel.session) == []
    for name in takers:
        kernel.leave(name)
    assert all(tokens == sorted(set(tokens)) for tokens in seen.values())
