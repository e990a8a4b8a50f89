"""claim: which steps a holder gets, that nobody gets them twice, and that it may be sent again."""

from __future__ import annotations

import pytest

from leasehold.errors import HolderGone
from leasehold.kernel import groups, steps
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import LaneRequest
from leasehold.testing.races import Race, together
from leasehold.testing.stories import Kernel


def test_a_claim_on_an_empty_lane_returns_nothing_and_writes_nothing(kernel):
    group = kernel.group("work")
    lane = kernel.session.fetch("select lane_id from leasehold.lane where group_id = %s", (group,))[0][0]
    holder = kernel.holder("A")
    before = kernel.session.fetch("select h, h.xmin::text from leasehold.holder h where holder_id = %s", (holder,))

    assert kernel.claim_lanes([lane]) == ()

    assert kernel.counted("lease") == 0
    assert (
        kernel.session.fetch("select h, h.xmin::text from leasehold.holder h where holder_id = %s", (holder,)) == before
    )


def test_a_claim_returns_the_first_step_of_a_run_and_never_the_second_while_the_first_is_open(kernel):
    first = kernel.add_step("parse", "store")

    assert kernel.lanes("store") == []
    lease = kernel.claim("parse")
    assert [step for step, _ in lease.steps] == [first]
    assert kernel.state(first + 1) == "blocked"
    assert kernel.lanes("store") == []

    kernel.succeed(lease)
    assert kernel.state(first + 1) == "ready"


def test_steps_of_a_lane_are_claimed_in_the_order_in_which_they_came(kernel):
    runs = kernel.add_runs(7, "work")

    pages = [kernel.claim(n=3) for _ in range(3)]

    assert [step >> 10 for lease in pages for step, _ in lease.steps] == runs
    assert pages[0].last_position < pages[1].last_position < pages[2].last_position


def test_a_claim_takes_only_what_stands_behind_its_hint(kernel):
    runs = kernel.add_runs(6, "work")
    first = kernel.claim(n=2)
    kernel.release(first)  # it goes to the end, behind every hint
    second = kernel.session.fetch("select position from leasehold.ready where step_id = %s", (runs[3] * 1024,))[0][0]

    behind = kernel.claim(n=10, hint=second)
    before = kernel.claim(n=10)

    assert [step >> 10 for step, _ in behind.steps] == [*runs[4:], *runs[:2]]
    assert [step >> 10 for step, _ in before.steps] == runs[2:4]


def test_a_lease_is_under_a_token_that_rises_for_every_step(kernel):
    kernel.add_step("work")
    tokens = []
    for _ in range(5):
        lease = kernel.claim()
        tokens.append(lease.token)
        kernel.release(lease)
    assert tokens == sorted(set(tokens))


def test_a_claim_sent_again_under_its_number_returns_the_same_lease_and_takes_nothing(kernel):
    kernel.add_runs(10, "work")
    lanes = [lane.lane_id for lane in kernel.lanes("work")]

    first = kernel.claim_lanes(lanes, n=3, claim_no=1)
    again = kernel.claim_lanes(lanes, n=3, claim_no=1)

    assert [(lease.token, lease.steps) for lease in again] == [(lease.token, lease.steps) for lease in first]
    assert kernel.counted("lease") == 1
    assert kernel.counted("ready") == 7


def test_a_claim_sent_again_returns_only_what_is_still_held(kernel):
    kernel.add_runs(3, "work")
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    (lease,) = kernel.claim_lanes(lanes, n=3, claim_no=1)
    done, *rest = [step for step, _ in lease.steps]
    kernel.succeed(lease, only=[done])

    (again,) = kernel.claim_lanes(lanes, n=3, claim_no=1)

    assert [step for step, _ in again.steps] == rest


def test_a_late_twin_of_a_claim_changes_nothing(kernel):
    """The first sending of a claim, lost on the way, arrives after its second and after the holder has gone on."""
    kernel.add_runs(6, "work")
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.claim_lanes(lanes, n=2, claim_no=1)
    (second,) = kernel.claim_lanes(lanes, n=2, claim_no=2)
    kernel.succeed(second)

    twin = kernel.claim_lanes(lanes, n=2, claim_no=2)

    assert twin == ()
    assert kernel.counted("ready") == 2


def test_a_number_that_brought_nothing_is_used_up_by_sending_it_without_lanes(kernel):
    """The first sending of an empty claim arrives late, when there is work; nobody would hear what it took."""
    group = kernel.group("work")
    lane = kernel.session.fetch("select lane_id from leasehold.lane where group_id = %s", (group,))[0][0]
    assert kernel.claim_lanes([lane], claim_no=1) == ()
    assert kernel.claim_lanes([], claim_no=1) == ()
    kernel.add(group, 3)

    assert kernel.claim_lanes([lane], n=3, claim_no=1) == ()

    assert kernel.counted("ready") == 3
    assert len(kernel.claim_lanes([lane], n=3, claim_no=2)) == 1


def test_using_up_a_number_answers_with_what_its_twin_has_taken(kernel):
    kernel.add_runs(3)
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    (taken,) = kernel.claim_lanes(lanes, n=2, claim_no=1)  # the late twin; its answer goes to nobody
    (again,) = kernel.claim_lanes([], claim_no=1)
    assert (again.token, again.steps) == (taken.token, taken.steps)


def test_a_claim_and_its_twin_at_once_take_one_page(database, kernel):
    """Two connections send the same number at the same time: one waits for the other and answers the same."""
    kernel.add_runs(10, "work")
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.holder("A")
    with Race(database) as race:
        race.begin("first")
        (first,) = race.do("first", lambda c: kernel.within(c).claim_lanes(lanes, n=4, claim_no=1))
        race.start("twin", lambda c: kernel.within(c).claim_lanes(lanes, n=4, claim_no=1)).waits()
        race.commit("first")
        (twin,) = race.result("twin")
    assert (twin.token, twin.steps) == (first.token, first.steps)
    assert kernel.counted("ready") == 6


def test_of_two_claims_on_one_step_one_wins_and_the_loser_does_not_wait(database, kernel):
    kernel.add_step("work")
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.holder("A"), kernel.holder("B")
    with Race(database) as race:
        race.begin("A")
        won = race.do("A", lambda c: kernel.within(c).claim_lanes(lanes, "A"))
        lost = race.do("B", lambda c: kernel.within(c).claim_lanes(lanes, "B"))  # ends although A is uncommitted
        race.commit("A")
    assert len(won) == 1
    assert lost == ()


def test_eight_holders_claiming_at_once_share_out_every_step_exactly_once(database, kernel):
    runs = kernel.add_runs(400, "work")

    def work(name):
        def claim_all(session):
            mine = kernel.on(session)
            taken = []
            while lease := mine.claim("work", name, n=7):
                taken += [step for step, _ in lease.steps]
                mine.succeed(lease)
            return taken

        return claim_all

    names = [f"worker {i}" for i in range(8)]
    for name in names:
        kernel.holder(name)
    taken = [step for part in together(database, [work(name) for name in names]) for step in part]

    assert sorted(taken) == [run * 1024 for run in runs]


def test_a_claim_that_is_rolled_back_takes_nothing(database, kernel):
    step = kernel.add_step("work")
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.holder("A")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: kernel.within(c).claim_lanes(lanes))
        race.rollback("A")
    assert kernel.state(step) == "ready"
    assert kernel.claim() is not None


def test_one_claim_takes_from_many_lanes_under_a_token_each(kernel):
    groups = [kernel.group("work") for _ in range(3)]
    for group in groups:
        kernel.add(group, 2)

    leases = kernel.claim_lanes([lane.lane_id for lane in kernel.lanes("work")], n=5)

    assert len({lease.token for lease in leases}) == 3
    assert all(len(lease.steps) == 2 for lease in leases)


def test_an_ended_holder_can_claim_nothing(kernel):
    step = kernel.add_step("work")
    kernel.holder("A")
    kernel.leave("A")
    with pytest.raises(HolderGone) as gone:
        kernel.claim()
    assert "join again" in gone.value.remedy
    assert kernel.state(step) == "ready"


def test_lanes_of_completed_groups_are_not_offered(kernel):
    kernel.add_step("work")
    assert len(kernel.lanes("work")) == 1
    kernel.succeed(kernel.claim())
    assert kernel.lanes("work") == []


def test_a_look_behind_a_position_sees_what_came_later_and_what_is_to_be_leased_alone(kernel):
    runs = kernel.add_runs(3, "work")
    lane = kernel.lanes("work")[0].lane_id
    last = kernel.claim(n=3)
    look = lambda at: [found.lane_id for found in steps.lanes(kernel.session, ["work"], {lane: at})]  # noqa: E731
    assert look(last.last_position) == []
    kernel.release(last, only=[runs[0] * 1024])  # goes to the end
    assert look(last.last_position) == [lane]
    kernel.succeed(kernel.claim("work", by="B", n=1))
    assert look(2**62) == []
    kernel.bury("A")  # what it held goes back, to be leased alone
    assert look(2**62) == [lane]


def test_only_the_kinds_asked_for_are_offered(kernel):
    kernel.add_step("parse")
    kernel.add_step("embed")
    assert [lane.kind for lane in kernel.lanes("embed", "unknown")] == ["embed"]
    assert kernel.lanes() == []


def test_a_run_starts_once_however_often_its_first_step_is_claimed(kernel):
    step = kernel.add_step("work", "more")
    for _ in range(3):
        kernel.release(kernel.claim())
    kernel.succeed(kernel.claim())
    kernel.succeed(kernel.claim("more"))
    assert kernel.events(kernel.group_of(step)) == ["group_start", "run_start", "run_end"]


def test_a_claim_brings_the_items_in_the_order_of_its_steps_and_again_when_it_is_sent_again(kernel):
    group = kernel.group("work", "bare")
    groups.add_all(kernel.session, group, [{"n": 1}, "two", None, [4]])
    holder = kernel.holder("A")
    request = LaneRequest(kernel.lanes("work")[0].lane_id, 10, 0, 60.0, items=True)
    for _ in range(2):
        (lease,) = steps.claim(kernel.session, holder, 1, [request]).leases
        assert lease.items == ({"n": 1}, "two", None, [4])
    kernel.succeed(lease)
    (bare,) = steps.claim(kernel.session, holder, 2, [LaneRequest(kernel.lanes("bare")[0].lane_id, 10, 0, 60.0)]).leases
    assert bare.items is None


def test_a_claim_that_waited_brings_the_items_of_runs_added_meanwhile(database, kernel):
    """A statement sees what was there when it began; the claim within it sees more, and so must the items."""
    group = kernel.group("work")
    kernel.add(group)
    lane, holder = kernel.lanes("work")[0].lane_id, kernel.holder("A")
    with Race(database) as race:
        race.begin("blocker")
        race.do(
            "blocker", lambda c: c.execute("select from leasehold.holder where holder_id = %s for update", (holder,))
        )
        request = LaneRequest(lane, 10, 0, 60.0, items=True)
        race.start("A", lambda c: steps.claim(kernel.within(c).session, holder, 1, [request])).waits()
        kernel.add(group, 2)
        race.commit("blocker")
        (lease,) = race.result("A").leases
    assert lease.items == ({"n": 0}, {"n": 0}, {"n": 1})


# -- alone ------------------------------------------------------------------------------------------------------------


def suspect(kernel: Kernel) -> list[int]:
    """Two steps that were held together by a holder that died: both are to be leased alone."""
    runs = kernel.add_runs(2, "work")
    kernel.claim(by="dead", n=2)
    kernel.bury("dead")
    return [run * 1024 for run in runs]


def test_a_step_to_be_leased_alone_is_given_only_to_a_holder_that_holds_nothing(kernel):
    first, second = suspect(kernel)
    other = kernel.add_step("other")
    busy = kernel.claim("other")

    assert kernel.claim("work") is None  # busy with another
    kernel.succeed(busy)
    lease = kernel.claim("work", n=10)

    assert lease.alone
    assert [step for step, _ in lease.steps] == [first]
    assert kernel.state(second) == "ready"
    assert kernel.state(other) == "succeeded"


def test_nothing_joins_a_holder_that_holds_a_step_alone(kernel):
    suspect(kernel)
    kernel.add_step("other")
    alone = kernel.claim("work")
    assert kernel.claim("other") is None
    assert kernel.claim("work") is None
    kernel.succeed(alone)
    assert kernel.claim("other") is not None


def test_a_holder_that_cannot_take_a_step_alone_still_gets_the_others_and_is_told(kernel):
    suspects = suspect(kernel)
    (fresh,) = kernel.add(kernel.group_of(suspects[0]), 1)
    kernel.add_step("other")
    kernel.claim("other")

    lease = kernel.claim("work", n=10)

    assert [step >> 10 for step, _ in lease.steps] == [fresh]
    assert {kernel.state(step) for step in suspects} == {"ready"}


@pytest.mark.parametrize("ending", ["released", "snoozed", "error", "holder left"])
def test_a_step_stays_alone_until_it_ends(kernel, ending):
    """Whatever it does short of ending, it takes no neighbour with it the next time."""
    first, _ = suspect(kernel)
    lease = kernel.claim()
    if ending == "released":
        kernel.release(lease)
    elif ending == "holder left":
        kernel.leave()
        kernel.holders.clear()
    else:
        kernel.finish(lease, ending, delay_s=0)
        kernel.promote()

    kernel.succeed(kernel.claim())  # the second one, which came to the lane earlier
    again = kernel.claim(n=10)

    assert again.alone
    assert again.steps[0][0] == first


def test_a_fork_starts_its_run_once(kernel):
    run = kernel.add_runs(
        1, steps=[WorkflowStep("a", (1, 2)), WorkflowStep("b", (3,)), WorkflowStep("c", (3,)), WorkflowStep("d")]
    )[0]
    for kind in "abcd":
        kernel.succeed(kernel.claim(kind))
    assert kernel.events(kernel.group_of(run * 1024), "run_start") == ["run_start"]
