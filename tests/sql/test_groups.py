"""Groups: they complete exactly once a round; cancel, retry and late members keep the counts right."""

from __future__ import annotations

import pytest

from leasehold.errors import GroupEnded, LeaseholdError, NotFound, Refused, UsageError
from leasehold.kernel import groups
from leasehold.kernel.groups import WorkflowStep
from leasehold.testing.faults import FaultPlan
from leasehold.testing.races import Race, together
from leasehold.testing.stories import drain

FORK = [WorkflowStep("a", (1, 2)), WorkflowStep("b", (3,)), WorkflowStep("c", (3,)), WorkflowStep("d")]


def ends(kernel, group):
    return len(kernel.events(group, "group_end"))


def test_a_group_completes_when_it_is_sealed_and_all_its_runs_have_ended(kernel):
    group = kernel.group("work")
    kernel.add(group, 2)
    kernel.succeed(kernel.claim(n=2))
    assert not kernel.fold(group)  # more may come
    assert kernel.seal(group)
    state = kernel.group_state(group)
    assert (state.completed, state.added, state.succeeded, state.round) == (True, 2, 2, 1)
    assert not kernel.seal(group)
    assert ends(kernel, group) == 1


def test_a_group_does_not_complete_while_it_is_still_being_added_to(database, kernel):
    """The seal and every fold wait for, or step over, an addition that is not committed."""
    group = kernel.group("work")
    kernel.add(group, 1)
    kernel.succeed(kernel.claim())
    with Race(database) as race:
        race.begin("adder")
        race.do("adder", lambda c: groups.add(c, group, [1, 2]))
        assert race.do("folder", lambda c: kernel.within(c).fold(group)) is False
        race.start("sealer", lambda c: kernel.within(c).seal(group)).waits()
        race.commit("adder")
        assert race.result("sealer") is False
    assert ends(kernel, group) == 0
    kernel.succeed(kernel.claim(n=2))
    assert kernel.fold(group)


def test_failed_and_cancelled_runs_count_as_ended(kernel):
    runs = kernel.add_runs(3, "parse", "store")
    group = kernel.group_of(runs[0] * 1024)
    kernel.fail(kernel.claim("parse"))
    kernel.finish(kernel.claim("parse"), "cancelled", reason="no text")
    kernel.succeed(kernel.claim("parse"))
    kernel.succeed(kernel.claim("store"))
    assert kernel.fold(group)
    state = kernel.group_state(group)
    assert (state.succeeded, state.failed, state.cancelled) == (1, 1, 1)
    assert kernel.events(group) == [
        "group_start", "run_start", "run_failed", "run_start", "run_end", "run_start", "run_end", "group_end",
    ]  # fmt: skip


def test_an_empty_group_completes_at_its_seal(kernel):
    group = kernel.group("work")
    assert kernel.seal(group)
    assert ends(kernel, group) == 1


def test_a_cancelled_empty_group_completes_too(kernel):
    group = kernel.group("work")
    assert kernel.cancel(group)
    assert groups.fold_all(kernel.session) == [group]


def test_late_members_open_the_next_round_and_it_completes_again(kernel):
    group = kernel.group("work")
    kernel.add(group, 1)
    kernel.seal(group)
    drain(kernel, "work")
    assert kernel.fold(group)

    kernel.add(group, 2)

    state = kernel.group_state(group)
    assert (state.completed, state.round, state.added) == (False, 2, 3)
    drain(kernel, "work")
    assert kernel.fold(group)
    assert ends(kernel, group) == 2
    assert kernel.counted("group_completion") == 2


def test_eight_sessions_that_end_the_last_eight_runs_together_complete_the_group_exactly_once(database, kernel):
    for _ in range(5):
        group = kernel.group("work")
        kernel.add(group, 8)
        kernel.seal(group)
        leases = [kernel.claim(by=f"H{i}") for i in range(8)]

        def end(lease, group=group):
            def work(session):
                mine = kernel.on(session)
                mine.succeed(lease)
                return mine.fold(group)

            return work

        completed = together(database, [end(lease) for lease in leases])
        if not any(completed):  # the last deltas came while somebody else was folding: a keeper's fold finds them
            assert groups.fold_all(kernel.session) == [group]
        assert sum(completed) <= 1
        assert ends(kernel, group) == 1


def test_members_that_arrive_while_the_last_eight_end_belong_to_this_round_or_open_the_next(database, kernel):
    """Method: eight workers end the last eight runs and fold, two submitters add one more run each, all at once."""
    for _ in range(5):
        group = kernel.group("work")
        kernel.add(group, 8)
        kernel.seal(group)
        leases = [kernel.claim(by=f"H{i}") for i in range(8)]

        def end(lease, group=group):
            def work(session):
                kernel.on(session).succeed(lease)
                return kernel.on(session).fold(group)

            return work

        def add(session, group=group):
            kernel.on(session).add(group, 1)

        together(database, [add, *(end(lease) for lease in leases), add])
        groups.fold_all(kernel.session)
        assert not kernel.group_state(group).completed
        early = ends(kernel, group)
        assert early in (0, 1, 2)
        drain(kernel, "work")
        groups.fold_all(kernel.session)
        state = kernel.group_state(group)
        assert (state.completed, state.added, state.succeeded) == (True, 10, 10)
        assert state.round == ends(kernel, group)
        kernel.check()


def test_a_fold_that_meets_another_fold_steps_aside_and_the_next_one_counts_the_rest(database, kernel):
    runs = kernel.add_runs(2)
    group = kernel.group_of(runs[0] * 1024)
    one, two = kernel.claim(by="A"), kernel.claim(by="B")
    kernel.succeed(one)
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda c: kernel.within(c).fold(group)) is False
        race.do("B", lambda c: kernel.within(c).succeed(two))
        assert race.do("B", lambda c: kernel.within(c).fold(group)) is False
        race.commit("A")
    assert kernel.fold(group)


def test_counts_are_exact_before_anything_is_folded(kernel):
    runs = kernel.add_runs(3)
    kernel.succeed(kernel.claim(n=3))
    state = kernel.group_state(kernel.group_of(runs[0] * 1024))
    assert (state.succeeded, state.completed) == (3, False)


# -- sent again -------------------------------------------------------------------------------------------------------


def test_a_page_that_is_added_again_after_a_lost_reply_is_there_once(kernel):
    group = kernel.group("work")
    with FaultPlan().at("drop_replies").installed() as plan:
        runs = kernel.add(group, 3)
    assert plan.happened.total() == 1
    assert kernel.group_state(group).added == 3
    assert [step >> 10 for step, _ in kernel.claim(n=10).steps] == runs


def test_a_group_that_is_opened_again_after_a_lost_reply_is_there_once(kernel):
    with FaultPlan().at("drop_replies", n=2).installed() as plan:
        kernel.group("work")
    assert plan.happened.total() == 1
    assert kernel.counted("run_group") == 1


def test_fifty_submissions_with_one_idempotency_key_are_one_group(database, kernel):
    workflow = groups.register(kernel.session, "w", groups.chain("work"))

    def submit(session):
        return [groups.open_group(session, workflow, idempotency_key="order 7") for _ in range(10)]

    answers = [one for part in together(database, [submit] * 5) for one in part]
    assert len({group for group, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1


@pytest.mark.parametrize("how", ["ended", "been cancelled"])
def test_a_key_whose_group_has_ended_does_not_swallow_a_new_request(kernel, how):
    """It is told so, with its own error that names the group, and nothing is opened."""
    group = kernel.group(idempotency_key="order 7")
    kernel.cancel(group) if how == "been cancelled" else kernel.seal(group)

    with pytest.raises(GroupEnded, match=f"'order 7' belongs to group {group}, which has {how}") as told:
        kernel.group(idempotency_key="order 7")

    assert (told.value.code, told.value.http_status) == ("group_ended", 409)
    assert kernel.counted("run_group") == 1


def test_a_key_of_another_workflow_is_refused(kernel):
    kernel.group("work", idempotency_key="order 7")
    with pytest.raises(Refused, match="another workflow"):
        kernel.group("other", idempotency_key="order 7")


# -- failures that are borne ------------------------------------------------------------------------------------------


def completion(kernel, group):
    (data,) = kernel.session.fetch(
        "select e.data, c.ended::text from leasehold.event e join leasehold.group_completion c using (group_id) "
        "where e.name = 'group_end' and group_id = %s and c.round = (e.data ->> 'round')::integer "
        "order by c.round desc limit 1",
        (group,),
    )
    assert data[0]["ended"] == data[1] == kernel.group_state(group).outcome
    return data[1]


@pytest.mark.parametrize(
    ("bears", "failed", "ended"),
    [
        ({}, 0, "succeeded"),
        ({}, 1, "failed"),
        ({"failures_max": 2}, 2, "succeeded"),
        ({"failures_max": 2}, 3, "failed"),
        ({"failures_max_percent": 25}, 2, "succeeded"),
        ({"failures_max_percent": 25}, 3, "failed"),
        ({"failures_max_percent": 100}, 10, "succeeded"),
        ({"failures_max_percent": 24.9}, 2, "failed"),
    ],
)
def test_a_completion_says_failed_only_when_more_failed_than_the_group_bears(kernel, bears, failed, ended):
    """Method: 10 runs (8 where a percentage needs it), of which some fail; column, event and state say the same."""
    n = 8 if bears.get("failures_max_percent", 0) in (25, 24.9) else 10
    group = kernel.group("work", **bears)
    kernel.add(group, n)
    kernel.seal(group)
    if failed:
        kernel.fail(kernel.claim(n=failed))
    drain(kernel, "work")
    kernel.fold(group)
    assert completion(kernel, group) == ended
    kernel.check()


def test_a_cancelled_round_says_so_and_a_retried_one_counts_anew(kernel):
    group = kernel.group("work")
    kernel.add(group, 2)
    kernel.seal(group)
    kernel.fail(kernel.claim(n=2))
    kernel.fold(group)
    assert completion(kernel, group) == "failed"

    kernel.retry(group)
    drain(kernel, "work")
    kernel.fold(group)
    assert completion(kernel, group) == "succeeded"

    kernel.add(group, 1)
    kernel.cancel(group)
    kernel.sweep()
    kernel.fold(group)
    assert completion(kernel, group) == "cancelled"
    kernel.check()


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures_max": 1, "failures_max_percent": 1},
        {"failures_max": -1},
        {"failures_max_percent": 101},
        {"weight": 0},
        {"weight": 10_001},
        {"priority": -10_001},
    ],
)
def test_terms_that_make_no_sense_are_refused_before_anything_is_written(kernel, wrong):
    with pytest.raises(UsageError):
        kernel.group(**wrong)
    assert kernel.counted("run_group") == 0


def test_weight_and_priority_can_be_changed_while_the_group_waits(kernel):
    group = kernel.group("a", "b", weight=2, priority=1)
    kernel.add(group)
    assert [(lane.weight, lane.priority) for lane in kernel.lanes("a")] == [(2, 1)]
    groups.weigh(kernel.session, group, priority=7)
    groups.weigh(kernel.session, group, weight=5)
    assert [(lane.weight, lane.priority) for lane in kernel.lanes("a")] == [(5, 7)]
    drain(kernel, "a")
    assert [(lane.weight, lane.priority) for lane in kernel.lanes("b")] == [(5, 7)]
    with pytest.raises(UsageError):
        groups.weigh(kernel.session, group, weight=0)
    with pytest.raises(NotFound):
        groups.weigh(kernel.session, 999, weight=1)


def test_seal_and_cancel_may_be_sent_again(kernel):
    group = kernel.group("work")
    kernel.add(group)
    with FaultPlan().at("drop_replies").installed():
        kernel.seal(group)
    assert kernel.group_state(group).sealed
    with FaultPlan().at("drop_replies").installed():
        kernel.cancel(group)
    kernel.sweep()
    kernel.fold(group)
    assert kernel.group_state(group).completed


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_a_cancel_ends_what_waits_and_what_is_leased_and_refuses_late_words(kernel):
    runs = kernel.add_runs(4, "parse", "store")
    group = kernel.group_of(runs[0] * 1024)
    kernel.succeed(kernel.claim("parse"))  # its store step is ready
    leased = kernel.claim("parse")
    kernel.snooze(kernel.claim("parse", by="B"), 60)

    assert kernel.cancel(group)
    assert not kernel.cancel(group)
    assert kernel.sweep() > 0

    assert kernel.heartbeat("A") == {"A": frozenset()}
    assert kernel.succeed(leased) == ["lost"]
    assert kernel.fold(group)
    assert kernel.group_state(group).cancelled == 4
    assert kernel.counted("ready") + kernel.counted("delayed") + kernel.counted("blocked") == 0
    assert ends(kernel, group) == 1


def test_a_finished_run_keeps_its_end_through_a_cancel(kernel):
    runs = kernel.add_runs(2)
    group = kernel.group_of(runs[0] * 1024)
    kernel.succeed(kernel.claim())
    kernel.cancel(group)
    kernel.sweep()
    kernel.fold(group)
    state = kernel.group_state(group)
    assert (state.succeeded, state.cancelled) == (1, 1)


def test_a_sweep_leaves_a_page_that_is_being_finished_and_the_next_sweep_ends_what_it_released(database, kernel):
    (run,) = kernel.add_runs(1, "parse", "store")
    group = kernel.group_of(run * 1024)
    lease = kernel.claim("parse")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: kernel.within(c).succeed(lease))
        kernel.cancel(group)
        race.start("sweeper", lambda c: groups.sweep_cancelled(kernel.within(c).session)).waits()
        race.commit("A")
        race.result("sweeper")
    kernel.sweep()
    assert kernel.states(run) == ["succeeded", "cancelled"]
    assert kernel.run_end(run) == "cancelled"


def test_a_claim_that_a_sweep_missed_is_swept_by_the_next(database, kernel):
    (run,) = kernel.add_runs(1)
    group = kernel.group_of(run * 1024)
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.holder("A")
    kernel.cancel(group)
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: kernel.within(c).claim_lanes(lanes))
        groups.sweep_cancelled(kernel.session)
        race.commit("A")
    # its run has ended; the step ends by its holder's word, or is taken with the holder's other things
    assert kernel.state(run * 1024) == "leased"
    assert kernel.leave("A") == 1
    assert kernel.state(run * 1024) == "cancelled"


def test_nothing_is_added_to_a_cancelled_group(kernel):
    group = kernel.group("work")
    kernel.cancel(group)
    with pytest.raises(Refused):
        kernel.add(group)
    with pytest.raises(Refused):
        kernel.retry(group)
    with pytest.raises(NotFound):
        kernel.add(10**9)


# -- retry ------------------------------------------------------------------------------------------------------------


def test_a_retry_runs_only_what_failed_and_completes_the_next_round(kernel):
    runs = kernel.add_runs(3, "parse", "store")
    group = kernel.group_of(runs[0] * 1024)
    kernel.succeed(kernel.claim("parse", n=3))
    page = kernel.claim("store", n=3)
    kernel.succeed(page, only=[runs[0] * 1024 + 1])
    kernel.fail(page, only=[runs[1] * 1024 + 1, runs[2] * 1024 + 1])
    assert kernel.fold(group)

    assert kernel.retry(group) == 2

    state = kernel.group_state(group)
    assert (state.round, state.failed, state.completed) == (2, 0, False)
    assert kernel.states(runs[1]) == ["succeeded", "ready"]
    assert kernel.attempt(runs[1] * 1024 + 1) == 1
    drain(kernel, "store")
    assert kernel.fold(group)
    assert (kernel.group_state(group).succeeded, ends(kernel, group)) == (3, 2)
    assert [ended for ended, _ in kernel.outcomes(runs[1] * 1024 + 1)] == ["failed", "reopened", "succeeded"]


def test_a_retry_of_a_group_without_failures_changes_nothing(kernel):
    runs = kernel.add_runs(1)
    group = kernel.group_of(runs[0] * 1024)
    drain(kernel, "work")
    kernel.fold(group)
    assert kernel.retry(group) == 0
    assert kernel.group_state(group).completed


def test_a_retry_blocks_a_join_for_just_the_parents_that_run_again(kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    group = kernel.group_of(run * 1024)
    kernel.succeed(kernel.claim("a"))
    kernel.succeed(kernel.claim("b"))
    kernel.fail(kernel.claim("c"))
    kernel.retry(group)
    assert kernel.states(run) == ["succeeded", "succeeded", "ready", "blocked"]
    kernel.succeed(kernel.claim("c"))
    kernel.succeed(kernel.claim("d"))
    assert kernel.run_end(run) == "succeeded"


def test_a_retry_leaves_a_run_whose_sibling_is_still_leased_to_the_next_retry(kernel):
    (run,) = kernel.add_runs(1, steps=FORK)
    group = kernel.group_of(run * 1024)
    kernel.succeed(kernel.claim("a"))
    sibling = kernel.claim("c", by="C")
    kernel.fail(kernel.claim("b"))
    assert kernel.retry(group) == 0
    kernel.succeed(sibling)
    assert kernel.retry(group) == 1
    assert kernel.states(run) == ["succeeded", "ready", "succeeded", "blocked"]


def test_a_retry_by_reason_looks_at_the_newest_failure(kernel):
    runs = kernel.add_runs(2)
    group = kernel.group_of(runs[0] * 1024)
    kernel.fail(kernel.claim(), reason="old reason")
    kernel.fail(kernel.claim(), reason="other")
    assert kernel.retry(group, "old reason") == 1
    kernel.fail(kernel.claim(), reason="other")
    assert kernel.retry(group, "old reason") == 0
    assert kernel.retry(group, "other") == 2


def test_a_retry_waits_for_a_finish_that_is_under_way(database, kernel):
    runs = kernel.add_runs(2)
    group = kernel.group_of(runs[0] * 1024)
    one, two = kernel.claim(by="A"), kernel.claim(by="B")
    kernel.fail(one)
    with Race(database) as race:
        race.begin("B")
        race.do("B", lambda c: kernel.within(c).fail(two))
        race.start("operator", lambda c: kernel.within(c).retry(group)).waits()
        race.commit("B")
        assert race.result("operator") == 2
    assert kernel.group_state(group).failed == 0


def test_a_retry_passes_by_a_step_that_is_being_claimed(database, kernel):
    """A leftover sibling is claimed while the retry looks: it is in no table that the retry can see, so it waits.

    Method: the claim is uncommitted when its sibling fails and when the retry comes.
    """
    (run,) = kernel.add_runs(1, steps=FORK)
    group = kernel.group_of(run * 1024)
    kernel.succeed(kernel.claim("a"))
    b = kernel.claim("b", by="B")
    lanes = [lane.lane_id for lane in kernel.lanes("c")]
    kernel.holder("C")
    with Race(database) as race:
        race.begin("C")
        (c,) = race.do("C", lambda conn: kernel.within(conn).claim_lanes(lanes, "C"))
        kernel.fail(b)
        assert kernel.retry(group) == 0
        race.commit("C")
    kernel.succeed(c)
    assert kernel.retry(group) == 1
    assert kernel.states(run) == ["succeeded", "ready", "succeeded", "blocked"]


def test_add_fold_and_seal_at_once_lose_no_run_and_complete_once(database, kernel):
    for _ in range(3):
        group = kernel.group("work")

        def add(session, group=group):
            return [kernel.on(session).add(group, 2) for _ in range(5)]

        def work(name):
            def run(session, name=name):
                mine = kernel.on(session)
                return sum(drain(mine, "work", by=name, n=3) for _ in range(10))

            return run

        def fold(session, group=group):
            return sum(kernel.on(session).fold(group) for _ in range(30))

        for name in ("W1", "W2"):
            kernel.holder(name)
        together(database, [add, add, work("W1"), work("W2"), fold])
        sealed = together(database, [lambda session, group=group: kernel.on(session).seal(group), fold, work("W1")])
        drain(kernel, "work")
        groups.fold_all(kernel.session)
        state = kernel.group_state(group)
        assert (state.added, state.succeeded, state.completed) == (20, 20, True), sealed
        assert ends(kernel, group) == 1


# -- workflows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([WorkflowStep("a"), WorkflowStep("b")], "without children"),
        ([WorkflowStep("a", (2,)), WorkflowStep("b", (2,)), WorkflowStep("c")], "wait for none"),
        ([WorkflowStep("a", (1,)), WorkflowStep("b", (0, 2)), WorkflowStep("c")], "1 -> 0"),
        ([WorkflowStep("a", (0, 1)), WorkflowStep("b")], "0 -> 0"),
        ([WorkflowStep("a", (1, 1)), WorkflowStep("b")], "0 -> 1"),
        ([WorkflowStep("a", (7, 1)), WorkflowStep("b")], "0 -> 7"),
        ([], "without children"),
    ],
)
def test_a_workflow_that_cannot_end_is_refused_at_its_registration(kernel, steps, says):
    with pytest.raises(Exception, match=says) as refused:
        kernel.group(steps=steps)
    assert getattr(refused.value, "sqlstate", "LS010") == "LS010" or isinstance(refused.value, LeaseholdError)


def test_the_same_workflow_has_the_same_id_and_a_changed_one_another(database, kernel):
    def register(session):
        return groups.register(session, "w", FORK)

    ids = together(database, [register] * 6)
    assert len(set(ids)) == 1
    assert groups.register(kernel.session, "w", FORK[:1] and groups.chain("a")) not in ids
