"""finish: whose word counts, what it sets free, and that it may be sent again."""

from __future__ import annotations

import psycopg
import pytest

from leasehold.kernel import steps
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import End
from leasehold.testing.faults import FaultPlan
from leasehold.testing.races import Race

FORK = [WorkflowStep("a", (1, 2)), WorkflowStep("b", (3,)), WorkflowStep("c", (3,)), WorkflowStep("d")]


def test_a_finish_is_accepted_once_and_then_already_accepted(kernel):
    step = kernel.add_step()
    lease = kernel.claim()
    assert kernel.succeed(lease) == ["accepted"]
    assert kernel.succeed(lease) == ["already accepted"]
    assert kernel.outcomes(step) == [("succeeded", None)]
    assert kernel.refused() == 0


def test_a_finish_under_a_wrong_token_is_lost_and_counted_and_changes_nothing(kernel):
    step = kernel.add_step()
    lease = kernel.claim()

    assert kernel.finish_pairs([(lease.token + 1, step)]) == ["lost"]

    assert kernel.state(step) == "leased"
    assert kernel.refused() == 1
    kernel.succeed(lease)


def test_a_finish_names_only_steps_of_that_very_lease(kernel):
    """A living token does not speak for the steps of another lease."""
    kernel.add_runs(2)
    one, other = kernel.claim(by="A"), kernel.claim(by="B")

    assert kernel.finish_pairs([(one.token, other.steps[0][0])]) == ["lost"]

    assert kernel.state(other.steps[0][0]) == "leased"
    assert kernel.state(one.steps[0][0]) == "leased"


def test_a_finish_after_the_reap_is_lost_and_leaves_the_successor_its_lease(kernel, clock):
    """A late word must not overwrite the successor's work. A claims; its TTL passes; B claims; A reports."""
    step = kernel.add_step()
    late = kernel.claim(by="A")
    clock.advance(31)
    assert [ended.name for ended in kernel.reap("B")] == ["A"]
    clock.advance(60)
    kernel.promote()
    current = kernel.claim(by="B")

    for ended in ("succeeded", "error", "failed", "snoozed", "cancelled"):
        assert kernel.finish(late, ended) == ["lost"]

    assert kernel.state(step) == "leased"
    assert kernel.refused() == 5
    assert kernel.succeed(current) == ["accepted"]


def test_a_finish_after_the_reap_is_lost_even_when_nobody_has_claimed_again(kernel, clock):
    kernel.add_runs(2)
    late = kernel.claim(n=2)
    clock.advance(31)
    kernel.reap("B")
    assert kernel.succeed(late) == ["lost", "lost"]
    assert kernel.refused() == 2


def test_a_partial_finish_leaves_the_rest_leased(kernel):
    kernel.add_runs(5)
    lease = kernel.claim(n=5)
    ids = [step for step, _ in lease.steps]

    assert kernel.succeed(lease, only=ids[1:3]) == ["accepted", "accepted"]

    assert [kernel.state(step) for step in ids] == ["leased", "succeeded", "succeeded", "leased", "leased"]
    assert kernel.succeed(lease, only=[ids[0], ids[3], ids[4]]) == ["accepted"] * 3
    assert kernel.counted("lease") == 0


def test_a_finish_whose_reply_was_lost_on_a_partial_page_is_sent_again_and_nothing_is_doubled(kernel):
    """Committed, reply lost: the session sends it again by itself. The rest of the page stays leased."""
    kernel.add_runs(5, "work", "more")
    lease = kernel.claim(n=5)
    ids = [step for step, _ in lease.steps]

    with FaultPlan().at("drop_replies").installed() as plan:
        verdicts = kernel.succeed(lease, only=ids[:2])

    assert plan.happened == {"drop_replies": 1}
    assert verdicts == ["already accepted"] * 2
    assert [kernel.state(step) for step in ids] == ["succeeded"] * 2 + ["leased"] * 3
    assert kernel.counted("ready") == 2
    assert kernel.refused() == 0


def test_a_page_sent_again_with_more_in_it_accepts_only_what_is_new(kernel):
    kernel.add_runs(4)
    lease = kernel.claim(n=4)
    ids = [step for step, _ in lease.steps]
    kernel.succeed(lease, only=ids[:2])
    assert kernel.succeed(lease, only=ids) == ["already accepted"] * 2 + ["accepted"] * 2


def test_a_mixed_page_ends_each_step_its_own_way(kernel):
    kernel.add_runs(5, attempts_max=2)
    lease = kernel.claim(n=5)
    words = ["succeeded", "error", "failed", "cancelled", "snoozed"]
    ends = [
        End(lease.token, step, word, reason=f"why {word}", delay_s=9)
        for (step, _), word in zip(lease.steps, words, strict=True)
    ]

    assert steps.finish_all(kernel.session, ends) == ["accepted"] * 5

    assert [kernel.state(step) for step, _ in lease.steps] == ["succeeded", "delayed", "failed", "cancelled", "delayed"]
    assert [kernel.outcomes(step) for step, _ in lease.steps] == [[(word, f"why {word}")] for word in words]
    assert [kernel.attempt(step) for step, _ in lease.steps] == [1, 2, 1, 1, 1]


def test_a_finish_of_many_leases_is_one_call(kernel):
    leases = [lease for i in range(4) for lease in [kernel.claim(by=f"H{i}")] if kernel.add_step() or lease]
    kernel.add_runs(6)
    leases = [kernel.claim(by=f"H{i}") for i in range(4)]
    pairs = [(lease.token, step) for lease in leases for step, _ in lease.steps]
    assert kernel.finish_pairs(pairs[::-1]) == ["accepted"] * 4


def test_a_pair_given_twice_raises_and_records_nothing(kernel):
    step = kernel.add_step()
    lease = kernel.claim()
    with pytest.raises(psycopg.Error):
        kernel.finish_pairs([(lease.token, step)] * 2)
    assert kernel.state(step) == "leased"


def test_reopened_is_not_a_word_of_the_holder(kernel):
    step = kernel.add_step()
    lease = kernel.claim()
    with pytest.raises(psycopg.Error, match="reopened is not"):
        kernel.finish(lease, "reopened")
    assert kernel.state(step) == "leased"


def test_effects_are_written_for_exactly_the_accepted_set(kernel, second_session):
    """accept locks the leases: between the answer and the commit nobody can take them away."""
    kernel.add_runs(3)
    lease = kernel.claim(n=3)
    ids = [step for step, _ in lease.steps]
    kernel.succeed(lease, only=ids[1:2])
    with kernel.session.connection.transaction():
        assert steps.accept(kernel.session.connection, [(lease.token, step) for step in ids]) == [0, 2]
        assert kernel.on(second_session).expire_leases() == []


# -- chains, forks and joins ------------------------------------------------------------------------------------------


def test_a_join_becomes_ready_when_its_last_parent_has_succeeded(kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    assert kernel.states(run) == ["succeeded", "ready", "ready", "blocked"]
    kernel.succeed(kernel.claim("c"))
    assert kernel.states(run) == ["succeeded", "ready", "succeeded", "blocked"]
    kernel.succeed(kernel.claim("b"))
    assert kernel.states(run) == ["succeeded", "succeeded", "succeeded", "ready"]
    kernel.succeed(kernel.claim("d"))
    assert kernel.run_end(run) == "succeeded"


def test_two_parents_in_one_page_release_their_child_once(kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    b, c = kernel.claim("b", by="B"), kernel.claim("c", by="C")
    assert kernel.finish_pairs([(b.token, run * 1024 + 1), (c.token, run * 1024 + 2)]) == ["accepted"] * 2
    assert kernel.states(run)[3] == "ready"


def test_two_parents_that_finish_together_release_their_child_exactly_once(database, kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    b, c = kernel.claim("b", by="B"), kernel.claim("c", by="C")
    with Race(database) as race:
        race.begin("B")
        race.do("B", lambda conn: kernel.within(conn).succeed(b))
        race.start("C", lambda conn: kernel.within(conn).succeed(c)).waits()
        race.commit("B")
        assert race.result("C") == ["accepted"]
    assert kernel.states(run) == ["succeeded", "succeeded", "succeeded", "ready"]
    assert kernel.counted("blocked") == 0


def test_a_failed_step_cancels_what_waits_in_its_run_and_its_leased_sibling_releases_nothing(kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    sibling = kernel.claim("c", by="C")
    kernel.fail(kernel.claim("b"))
    assert kernel.states(run) == ["succeeded", "failed", "leased", "cancelled"]
    assert kernel.succeed(sibling) == ["accepted"]
    assert kernel.states(run) == ["succeeded", "failed", "succeeded", "cancelled"]
    assert kernel.run_end(run) == "failed"


@pytest.mark.parametrize("ended", ["error", "snoozed"])
def test_a_sibling_of_a_failed_step_does_not_come_to_wait_again(kernel, ended):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    sibling = kernel.claim("c", by="C")
    kernel.fail(kernel.claim("b"))
    assert kernel.finish(sibling, ended, delay_s=0) == ["accepted"]
    assert kernel.states(run)[2] == "cancelled"


@pytest.mark.parametrize("how", ["error", "snooze", "release", "death"])
def test_a_step_does_not_come_to_wait_in_a_run_that_is_failing_at_that_moment(database, kernel, how):
    """B fails and is not committed; C goes back to wait. Whoever is second sees the first: nothing waits for ever."""
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    b, c = kernel.claim("b", by="B"), kernel.claim("c", by="C")

    def goes_back(connection):
        within = kernel.within(connection)
        match how:
            case "error":
                within.error(c, delay_s=0)
            case "snooze":
                within.snooze(c, 0)
            case "release":
                within.release(c)
            case "death":
                within.bury("C")

    with Race(database) as race:
        race.begin("B")
        race.do("B", lambda connection: kernel.within(connection).fail(b))
        race.start("C", goes_back).settles()
        race.commit("B")
        race.result("C")
    assert kernel.states(run) == ["succeeded", "failed", "cancelled", "cancelled"]
    kernel.check()


def test_a_step_that_is_being_promoted_while_its_run_fails_is_cancelled(database, kernel, clock):
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    kernel.snooze(kernel.claim("c", by="C"), 1)
    clock.advance(2)
    b = kernel.claim("b", by="B")
    with Race(database) as race:
        race.begin("keeper")
        assert race.do("keeper", lambda connection: kernel.within(connection).promote()) == 1
        race.start("B", lambda connection: kernel.within(connection).fail(b)).settles()
        race.commit("keeper")
        assert race.result("B") == ["accepted"]
    assert kernel.states(run) == ["succeeded", "failed", "cancelled", "cancelled"]


def test_a_skipped_step_ends_its_run_as_cancelled_and_not_as_failed(kernel):
    (run,) = kernel.add_runs(1, "parse", "store")
    group = kernel.group_of(run * 1024)
    kernel.finish(kernel.claim("parse"), "cancelled", reason="no text")
    assert kernel.states(run) == ["cancelled", "cancelled"]
    kernel.fold(group)
    state = kernel.group_state(group)
    assert (state.cancelled, state.failed, state.completed) == (1, 0, True)


def test_a_reap_that_waits_for_a_finish_finds_nothing_left(database, kernel, clock):
    """Reap against finish: the finish is first, the reap waits for the lease and then sees that it is gone."""
    step = kernel.add_step()
    lease = kernel.claim(by="A")
    clock.advance(31)
    kernel.holder("R")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).succeed(lease))
        race.start("R", lambda connection: kernel.within(connection).reap("R")).waits()
        race.commit("A")
        (ended,) = race.result("R")
    assert ended.returned == ()
    assert ended.charged is None
    assert kernel.outcomes(step) == [("succeeded", None)]


def test_a_finish_that_waits_for_a_reap_is_lost(database, kernel, clock):
    """The other order: the reap is first, and the finish is told so."""
    runs = kernel.add_runs(2)
    lease = kernel.claim(by="A", n=2)
    clock.advance(31)
    kernel.holder("R")
    with Race(database) as race:
        race.begin("R")
        (ended,) = race.do("R", lambda connection: kernel.within(connection).reap("R"))
        race.start("A", lambda connection: kernel.within(connection).succeed(lease)).waits()
        race.commit("R")
        assert race.result("A") == ["lost", "lost"]
    assert ended.returned == tuple(run * 1024 for run in runs)
    assert kernel.refused() == 2


def test_a_run_that_has_ended_is_not_counted_or_told_again(kernel):
    """Aim: who ends runs may name some that somebody else has just ended. Method: half of a group's runs have ended
    when all are ended by the inner function itself; then the others' steps end too."""
    _end_runs_again(kernel, kernel.add_runs(8))


def test_a_run_that_has_ended_is_not_counted_or_told_again_among_several_groups(kernel):
    _end_runs_again(kernel, [run for _ in range(3) for run in kernel.add_runs(4)])


def _end_runs_again(kernel, runs):
    lanes = [lane for (lane,) in kernel.session.fetch("select lane_id from leasehold.step order by step_id")]
    leases = kernel.claim_lanes(sorted(set(lanes)), n=8)
    held = [(lease.token, step) for lease in leases for step, _ in lease.steps]

    kernel.finish_pairs(held[::2])
    ended = "array_fill('succeeded'::leasehold.ending, array[cardinality(%(runs)s::bigint[])])"
    end = f"select leasehold.end_runs(%(runs)s::bigint[], {ended}, %(lanes)s::bigint[])"
    kernel.session.fetch(end, {"runs": runs, "lanes": lanes})
    kernel.finish_pairs(held[1::2])

    assert kernel.counted("run_outcome") == len(runs)
    told = kernel.session.fetch("select run_id from leasehold.event where name = 'run_end' order by run_id")
    assert told == [(run,) for run in runs]
    assert kernel.session.fetch("select sum(succeeded) from leasehold.group_delta")[0][0] == len(runs)
