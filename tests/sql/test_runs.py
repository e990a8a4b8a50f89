"""Single runs: cancelled wherever they stand, retried when they failed, put off while they wait."""

from __future__ import annotations

import pytest

from leasehold.errors import LeaseholdError, NotFound, UsageError
from leasehold.kernel import holders, runs, why
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import End, Room, Terms, finish_and_lease
from leasehold.testing.races import Race, together
from leasehold.testing.stories import drain

FORK = [WorkflowStep("a", (1, 2)), WorkflowStep("b", (3,)), WorkflowStep("c", (3,)), WorkflowStep("d")]


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_a_cancelled_run_ends_at_once_wherever_it_stands_and_its_neighbours_go_on(kernel, clock):
    """Method: of five runs one is ready, one delayed, one leased with a neighbour, one has ended."""
    ready, delayed, leased, neighbour, done = kernel.add_runs(5, "work", "next")
    group = kernel.group_of(ready * 1024)
    page = kernel.claim(n=5)
    kernel.snooze(page, 1000, [delayed * 1024])
    kernel.release(page, [ready * 1024])
    kernel.succeed(page, [done * 1024])
    drain(kernel, "next")

    assert kernel.cancel_runs(ready, delayed, leased, done) == 3

    for run in (ready, delayed, leased):
        assert kernel.run_end(run) == "cancelled"
        assert kernel.states(run) == ["cancelled", "cancelled"]
        assert ("cancelled", "cancelled by ann") in kernel.outcomes(run * 1024)
    assert kernel.run_end(done) == "succeeded"
    assert kernel.succeed(page, [leased * 1024]) == ["lost"]
    assert kernel.refused() == 1
    assert kernel.succeed(page, [neighbour * 1024]) == ["accepted"]
    drain(kernel, "next")
    kernel.check()
    state = kernel.group_state(group)
    assert (state.completed, state.succeeded, state.cancelled) == (True, 2, 3)
    assert kernel.cancel_runs(ready, leased, neighbour) == 0


def test_the_next_heartbeat_names_a_cancelled_step_whose_lease_goes_on(kernel):
    first, second = kernel.add_runs(2)
    page = kernel.claim(n=2)
    holder = kernel.holder("A")
    assert holders.heartbeat(kernel.session, [holder])[holder].cancelled == frozenset()

    kernel.cancel_runs(first)

    kept = holders.heartbeat(kernel.session, [holder])[holder]
    assert (kept.tokens, kept.cancelled) == ({page.token}, {first * 1024})
    kernel.cancel_runs(second)
    kept = holders.heartbeat(kernel.session, [holder])[holder]
    assert (kept.tokens, kept.cancelled) == (frozenset(), frozenset())


def test_a_fork_is_cancelled_with_all_its_branches(kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    lease = kernel.claim("b")
    assert kernel.cancel_runs(run) == 1
    assert kernel.states(run) == ["succeeded", "cancelled", "cancelled", "cancelled"]
    assert kernel.succeed(lease) == ["lost"]
    kernel.check()


def test_a_leased_sibling_of_a_failed_step_is_stopped_too(kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    lease = kernel.claim("b", by="A")
    kernel.fail(kernel.claim("c", by="B"))
    assert kernel.cancel_runs(run) == 0  # it had ended
    assert kernel.succeed(lease) == ["lost"]
    assert kernel.run_end(run) == "failed"
    kernel.check()


def test_a_cancel_waits_for_a_claim_that_is_under_way_and_takes_its_step(database, kernel):
    (run,) = kernel.add_runs(1)
    (lane,) = kernel.lanes("work")
    kernel.holder("A")
    with Race(database) as race:
        race.begin("A")
        (lease,) = race.do("A", lambda c: kernel.within(c).claim_lanes([lane.lane_id], "A"))
        race.start("B", lambda c: kernel.within(c).cancel_runs(run)).waits()
        race.commit("A")
        assert race.result("B") == 1
    assert kernel.succeed(lease) == ["lost"]
    kernel.check()


def test_a_cancel_waits_for_a_finish_that_is_under_way_and_ends_what_it_released(database, kernel):
    (run,) = kernel.add_runs(1, "work", "next")
    lease = kernel.claim()
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda c: kernel.within(c).succeed(lease)) == ["accepted"]
        race.start("B", lambda c: kernel.within(c).cancel_runs(run)).waits()
        race.commit("A")
        assert race.result("B") == 1
    assert kernel.states(run) == ["succeeded", "cancelled"]
    kernel.check()


def test_a_cancel_finds_the_successor_that_a_finish_under_way_has_leased_to_itself(database, kernel):
    """The first look cannot see that lease yet; it is repeated until it finds nothing more."""
    (run,) = kernel.add_runs(1, "work", "next")
    lease = kernel.claim()
    room = Room(kernel.holder("A"), 1, (1,), {"next": Terms(0, 1, 60.0, False)})
    ends = [End(lease.token, run * 1024, "succeeded")]
    with Race(database) as race:
        race.begin("A")
        done = race.do("A", lambda c: finish_and_lease(c, ends, room))
        race.start("B", lambda c: kernel.within(c).cancel_runs(run)).waits()
        race.commit("A")
        assert race.result("B") == 1
    assert kernel.states(run) == ["succeeded", "cancelled"]
    assert kernel.counted("lease") == 0
    assert kernel.succeed(done.successors[0].lease) == ["lost"]
    kernel.check()


def test_cancels_claims_and_finishes_at_once_neither_deadlock_nor_lose_a_run(database, kernel):
    """Method: four workers drain 200 runs of three steps while two operators cancel every third, in opposite orders."""
    ids = kernel.add_runs(200, "a", "b", "c")
    group = kernel.group_of(ids[0] * 1024)
    for i in range(4):
        kernel.holder(f"H{i}")

    def work(session, name):
        return drain(kernel.on(session), "a", "b", "c", by=name, n=7)

    def cancel(session, some):
        return sum(kernel.on(session).cancel_runs(*some[i : i + 5]) for i in range(0, len(some), 5))

    answers = together(database, [
        *(lambda s, i=i: work(s, f"H{i}") for i in range(4)),
        lambda s: cancel(s, ids[::3]), lambda s: cancel(s, ids[::-3]),
    ])  # fmt: skip
    drain(kernel, "a", "b", "c", by="H0")
    kernel.check()
    state = kernel.group_state(group)
    assert (state.completed, state.succeeded + state.cancelled) == (True, 200)
    assert state.cancelled == sum(answers[4:])


def test_a_cancelled_probe_leaves_nothing_latched_and_a_paused_run_can_be_cancelled(kernel):
    (run,) = kernel.add_runs(1)
    kernel.put_off(run, delay_s=1000)
    assert kernel.cancel_runs(run) == 1
    kernel.check()


# -- put off ----------------------------------------------------------------------------------------------------------


def test_what_waits_is_put_off_and_what_runs_is_not(kernel, clock):
    ready, leased, delayed = kernel.add_runs(3)
    page = kernel.claim(n=3)
    kernel.release(page, [ready * 1024])
    kernel.snooze(page, 5, [delayed * 1024])

    assert kernel.put_off(ready, leased, delayed) == 2

    assert [kernel.state(run * 1024) for run in (ready, leased, delayed)] == ["delayed", "leased", "delayed"]
    assert "put off by ann; ready in 100.0 s" in why.sentence(why.step_facts(kernel.session, ready * 1024))
    clock.advance(99)
    assert kernel.promote() == 0
    clock.advance(2)
    assert kernel.promote() == 2
    assert kernel.attempt(ready * 1024) == 1
    kernel.check()


def test_a_run_that_is_put_off_before_it_began_starts_once_all_the_same(kernel, clock):
    (run,) = kernel.add_runs(1)
    kernel.put_off(run)
    clock.advance(101)
    kernel.promote()
    kernel.succeed(kernel.claim())
    kernel.check()
    assert kernel.events(kernel.group_of(run * 1024), "run_start") == ["run_start"]


def test_a_step_to_be_leased_alone_stays_so(kernel, clock):
    runs_ = kernel.add_runs(2)
    kernel.claim(n=2)
    kernel.bury("A")
    kernel.put_off(*runs_)
    clock.advance(101)
    kernel.promote()
    assert all(kernel.alone(run * 1024) for run in runs_)


def test_a_run_that_fails_while_it_is_put_off_keeps_nothing_waiting(database, kernel):
    """The one that is putting off holds the run; the failing sibling waits for it and cancels what was put off."""
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    lease = kernel.claim("b")
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda c: kernel.within(c).put_off(run)) == 1
        race.start("B", lambda c: kernel.within(c).fail(lease)).waits()
        race.commit("A")
        assert race.result("B") == ["accepted"]
    assert kernel.states(run) == ["succeeded", "failed", "cancelled", "cancelled"]
    kernel.check()


def test_who_puts_off_does_not_wait_for_a_claim_under_way(database, kernel):
    claimed, waiting = kernel.add_runs(2)
    with Race(database) as race:
        race.begin("A")
        lease = race.do("A", lambda c: kernel.within(c).claim(n=1))
        assert lease.steps[0][0] == claimed * 1024
        second = race.start("B", lambda c: kernel.within(c).put_off(claimed, waiting))
        assert second.settles()._future.done(), "it waits"
        race.commit("A")
    assert second.result() == 1
    assert [kernel.state(run * 1024) for run in (claimed, waiting)] == ["leased", "delayed"]
    kernel.check()


# -- retry ------------------------------------------------------------------------------------------------------------


def test_only_a_failed_run_is_retried_and_a_mistake_changes_nothing(kernel):
    failed, done, under_way = kernel.add_runs(3)
    page = kernel.claim(n=3)
    kernel.fail(page, only=[failed * 1024])
    kernel.succeed(page, [done * 1024])
    for wrong, says in ((under_way, "is under way"), (done, "has succeeded")):
        with pytest.raises(UsageError, match=says):
            runs.retry(kernel.session, [failed, wrong])
    with pytest.raises(NotFound, match="no run 999"):
        runs.retry(kernel.session, [failed, 999])
    assert kernel.run_end(failed) == "failed"

    assert runs.retry(kernel.session, [failed]) == 1

    assert kernel.states(failed) == ["ready"]
    kernel.check()


def test_a_step_that_is_retried_long_after_its_first_try_has_all_its_clocks_anew(kernel, clock):
    """Attempts from 1, and a deadline from now: the next sweep of old leases does not touch it."""
    (run,) = kernel.add_runs(1)
    kernel.fail(kernel.claim(deadline_s=10))
    clock.advance(100_000)
    runs.retry(kernel.session, [run])
    lease = kernel.claim(deadline_s=10)
    assert lease.steps == ((run * 1024, 1),)
    kernel.expire_leases()
    assert kernel.state(run * 1024) == "leased"
    assert kernel.succeed(lease) == ["accepted"]


def test_what_is_known_of_a_run(kernel):
    (run,) = kernel.add_runs(1, label="books")
    kernel.error(kernel.claim(), delay_s=0)
    kernel.promote()
    kernel.fail(kernel.claim())
    runs.retry(kernel.session, [run])
    (facts,) = runs.facts(kernel.session, [run])
    assert (facts.label, facts.ended, facts.retries, facts.item) == ("books", None, 1, {"n": 0})
    assert [one.ended for one in runs.outcomes(kernel.session, run)] == ["error", "failed", "reopened"]


def test_a_cancel_that_never_comes_to_an_end_says_so_instead_of_asking_for_ever(kernel):
    """Method: leases that do not shrink, so that every look takes the same step away again."""
    (run,) = kernel.add_runs(1)
    kernel.claim()
    takes = "leasehold.run_cancel(p_runs bigint[], p_by text, out ended integer, out taken integer)"
    kernel.session.connection.execute(f"create or replace function {takes} language sql as 'select 0, 1'")
    with pytest.raises(LeaseholdError, match="does not end"):
        runs.cancel(kernel.session, [run], by="ann")
