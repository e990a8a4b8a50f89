"""Pruning: what ended long ago leaves by ranges; what lives, is young, or is needed stays; work goes on beside it."""

from __future__ import annotations

import pytest

from leasehold.db.line import BROKEN
from leasehold.errors import NotFound, Refused
from leasehold.kernel import checks, groups, history, hooks, runs
from leasehold.testing.races import Race, deadlocks, together
from leasehold.testing.stories import drain

DAY_S = 86_400.0
FORK = [
    groups.WorkflowStep("a", (1, 2)),
    groups.WorkflowStep("b", (3,), attempts_max=1),
    groups.WorkflowStep("c", (3,)),
    groups.WorkflowStep("d"),
]


def nothing(session, first, end):
    return []


def prune(session, older_than_s=0.0, **how):
    return history.prune(session, **{"older_than_s": older_than_s, "needed": nothing, **how})


def look(session, older_than_s=0.0, **how):
    return history.look(session, **{"older_than_s": older_than_s, "keep_failed": False, "needed": nothing, **how})


def one_range(session, number=0, *, older_than_s=0.0, tries=50, needed=()):
    """One range, without closing, dropping and trying again: (verdict, gone, kept)."""
    call = "select verdict, gone, kept from leasehold.prune_range(%s, %s, false, %s::bigint[], 40, %s)"
    return session.fetch(call, (number, older_than_s, list(needed), tries))[0]


def close(session):
    session.fetch("select leasehold.close_ranges(0, true)")


def ended(kernel, n=5, ending="succeeded"):
    """A group whose runs have all ended so; (group, its runs)."""
    group = kernel.group("work", attempts_max=1)
    made = kernel.add(group, n)
    kernel.seal(group)
    lane = next(lane.lane_id for lane in kernel.lanes("work") if lane.group_id == group)
    (lease,) = kernel.claim_lanes([lane], n=n)
    kernel.finish(lease, ending)
    kernel.fold(group)
    return group, made


def there(session):
    """The runs that have rows."""
    return [row[0] for row in session.fetch("select run_id from leasehold.run order by run_id")]


def tables(session):
    return {row[0] for row in session.fetch(
        "select relname from pg_class where relnamespace = 'leasehold'::regnamespace and relkind = 'r'")}  # fmt: skip


def everything(session):
    """What a prune could change: rows, partitions, sequences."""
    counted = {name: session.fetch(f"select count(*) from leasehold.{name}")[0][0] for name in sorted(tables(session))}
    sequences = session.fetch("select sequencename, last_value from pg_sequences where schemaname = 'leasehold'")
    return counted, sorted(sequences, key=str)


# -- what goes, and what stays ----------------------------------------------------------------------------------------


def test_what_ended_goes_whole_tables_at_a_time_and_the_group_keeps_its_counts(kernel):
    group, made = ended(kernel)
    before = kernel.group_state(group)

    done = prune(kernel.session)

    assert [(one.verdict, one.gone, one.kept) for one in done.ranges] == [("pruned", 5, 0)]
    assert there(kernel.session) == []
    assert not {"run_p0", "step_p0", "payload_p0", "outcome_p0", "run_outcome_p0", "event_p0"} & tables(kernel.session)
    assert not any("gone" in name or "new" in name for name in tables(kernel.session))
    assert kernel.group_state(group) == before
    assert (history.gone(kernel.session, group), history.gone(kernel.session, group + 1)) == (5, 0)
    with pytest.raises(NotFound, match="has left"):
        runs.facts(kernel.session, made[:1])
    with pytest.raises(NotFound, match=r"There is no run \d+\. ->"):
        runs.facts(kernel.session, [made[0] + (1 << 20)])


def test_the_young_stay_and_the_old_go_from_the_same_range(kernel, clock):
    ended(kernel, 5)
    clock.advance(40 * DAY_S)
    _, young = ended(kernel, 3)
    for number in (0, 1):  # of one that goes, and of one that stays
        result = (there(kernel.session)[number * 5] * 1024, "{}")
        kernel.session.fetch("insert into leasehold.step_result values (%s, %s::jsonb)", result)

    done = prune(kernel.session, 30 * DAY_S)

    assert [(one.verdict, one.gone, one.kept) for one in done.ranges] == [("pruned", 5, 3)]
    assert there(kernel.session) == young
    assert [kernel.state(run * 1024) for run in young] == ["succeeded"] * 3
    assert len(kernel.outcomes(young[0] * 1024)) == 1
    assert kernel.session.fetch("select step_id from leasehold.step_result") == [(young[0] * 1024,)]


def test_a_live_run_never_goes_whatever_is_asked(kernel):
    """Ready, leased, delayed, and a group of each that is sealed; everything that has ended around them goes."""
    ended(kernel, 9)
    kernel.add_runs(1, "stays ready", "is blocked")
    kernel.add_step("is leased")
    leased = kernel.claim("is leased")
    kernel.add_step("is delayed", "is blocked")
    kernel.snooze(kernel.claim("is delayed"), 3600)
    groups.fold_all(kernel.session)

    prune(kernel.session)

    assert len(there(kernel.session)) == 3
    assert kernel.succeed(leased) == ["accepted"]


def test_a_failed_run_stays_while_a_sibling_of_the_failed_step_is_leased(kernel):
    ended(kernel, 5)
    (run,) = kernel.add_runs(1, steps=FORK)
    kernel.succeed(kernel.claim("a"))
    c = kernel.claim("c", by="B")
    kernel.fail(kernel.claim("b"))
    groups.fold_all(kernel.session)
    assert kernel.run_end(run) == "failed"

    prune(kernel.session)

    assert there(kernel.session) == [run]
    assert kernel.succeed(c) == ["accepted"]
    prune(kernel.session)
    assert there(kernel.session) == []


def test_a_group_that_is_not_sealed_keeps_its_runs_and_is_named(kernel):
    group = kernel.group("work", label="for ever")
    made = kernel.add(group, 2)
    drain(kernel, "work")
    ended(kernel, 5)

    would = look(kernel.session)
    prune(kernel.session)

    assert there(kernel.session) == made
    assert [(one["group_id"], one["runs"], one["why"]) for one in would.ranges[0].keeping] == [(group, 2, "not sealed")]


def test_a_range_of_which_more_must_stay_than_may_go_is_left_as_it_is(kernel):
    ended(kernel, 2)
    group = kernel.group("other")
    kernel.add(group, 3)
    assert [(one.verdict, one.gone, one.kept) for one in prune(kernel.session).ranges] == [("held", 2, 3)]
    assert len(there(kernel.session)) == 5


def test_needed_runs_stay_and_can_be_retried_to_the_end_of_their_group(kernel):
    """Of a group two failed runs are needed, in the middle: they stay, and its counts stay true in a new round."""
    group, made = ended(kernel, 10, "failed")
    needed = [made[3], made[6]]

    prune(kernel.session, needed=lambda session, first, end: [run for run in needed if first <= run < end])
    assert there(kernel.session) == needed
    assert checks.violations(kernel.session) == []
    assert kernel.retry(group) == 2
    assert drain(kernel, "work") == 2
    kernel.fold(group)

    state = kernel.group_state(group)
    assert (state.added, state.succeeded, state.failed, state.completed) == (10, 2, 8, True)
    prune(kernel.session)
    assert there(kernel.session) == []


def test_failed_runs_stay_when_that_is_asked(kernel):
    _, failed = ended(kernel, 2, "failed")
    ended(kernel, 5)
    prune(kernel.session, keep_failed=True)
    assert there(kernel.session) == failed


def test_a_dry_run_says_what_a_prune_then_does_and_changes_nothing(kernel):
    ended(kernel, 7)
    kernel.add(kernel.group("work", label="open"), 2)
    before = everything(kernel.session)

    would = look(kernel.session)

    assert everything(kernel.session) == before
    assert [(one.verdict, one.gone, one.kept, one.live) for one in would.ranges] == [("would go", 7, 2, 2)]
    assert would.runs == prune(kernel.session).runs == 7


def test_nothing_is_added_to_a_group_that_was_pruned(kernel):
    """Its lanes are gone with it; a run without steps would never end."""
    group, _ = ended(kernel)
    prune(kernel.session)
    with pytest.raises(Refused, match="pruned"):
        kernel.add(group)


def test_a_late_finish_of_a_step_that_has_left_is_lost(kernel):
    group = kernel.group("work")
    kernel.add(group, 1)
    kernel.seal(group)
    lease = kernel.claim("work")
    kernel.succeed(lease)
    kernel.fold(group)
    prune(kernel.session)
    assert kernel.succeed(lease) == ["lost"]
    assert kernel.refused() == 1


# -- ranges -----------------------------------------------------------------------------------------------------------


def test_a_range_that_does_not_fill_is_closed_at_a_quarter_of_the_age(kernel, clock):
    """12,000 runs a night never fill a million: a prune begins the next range, and the old one can go one day."""
    _, old = ended(kernel)
    clock.advance(7 * DAY_S)
    assert not prune(kernel.session, 30 * DAY_S).closed
    clock.advance(1 * DAY_S)
    assert prune(kernel.session, 30 * DAY_S).closed
    assert there(kernel.session) == old
    _, young = ended(kernel)
    assert young[0] == 1 << 20
    clock.advance(23 * DAY_S)
    prune(kernel.session, 30 * DAY_S)
    assert there(kernel.session) == young
    assert kernel.add_runs(1)[0] >> 20 == 2


def test_the_range_that_is_being_filled_is_left_alone(kernel):
    """Whoever drew ids from it may not have come to write its rows yet."""
    ended(kernel)
    assert one_range(kernel.session) == ("current", 0, 0)


def test_an_empty_range_is_not_closed_again_and_again(kernel):
    close(kernel.session)
    assert kernel.add_runs(1)[0] < 1 << 20


def test_a_run_that_was_being_added_when_its_range_was_closed_is_not_lost(kernel, database):
    """Method: A has drawn its ids and not committed; the range is closed and pruned; then A commits."""
    ended(kernel)
    group = kernel.group("late")
    with Race(database) as race:
        race.begin("A")
        (late,) = race.do("A", lambda connection: kernel.within(connection).add(group))
        close(kernel.session)
        assert one_range(kernel.session)[0] == "busy"
        race.commit("A")
    assert one_range(kernel.session) == ("pruned", 5, 1)
    assert there(kernel.session) == [late]
    assert kernel.succeed(kernel.claim("late")) == ["accepted"]


def test_events_always_have_a_range_ahead(kernel):
    """Keepers fold every second, and every add asks too: the last event of a range finds the next one there."""
    for number in (1, 2, 3):
        kernel.session.fetch("select setval('leasehold.event_seq', %s)", (number * 4_194_304 - 2,))
        groups.fold_all(kernel.session) if number % 2 else ended(kernel, 1)
        for name in ("x", "y", "z"):
            kernel.session.fetch(
                "insert into leasehold.event (name, at) values (%s, leasehold.now())", (name,))  # fmt: skip
    groups.fold_all(kernel.session)
    assert {"event_p3", "event_p4"} <= tables(kernel.session)


def test_events_go_when_they_are_old_and_completions_are_not_missed_by_the_checks(kernel, clock):
    ended(kernel)
    clock.advance(31 * DAY_S)
    ended(kernel)
    prune(kernel.session, 30 * DAY_S)  # closes the range, of which the newest is young
    assert kernel.counted("event") == 2 * 12
    clock.advance(31 * DAY_S)
    prune(kernel.session, 30 * DAY_S)
    assert kernel.counted("event") == 0


def test_calls_of_hooks_go_with_their_group_and_live_ones_stay(kernel):
    """A call is a step without a run. One has succeeded, one has failed, one waits; no group counts them."""
    told = hooks.Hook(name="tell", on=("run_end",), call="m:f", attempts_max=1)
    group = kernel.group("work", hooks=[told])
    kernel.add(group, 3)
    kernel.seal(group)
    drain(kernel, "work")
    kernel.fold(group)
    kernel.succeed(kernel.claim("hook"))
    kernel.fail(kernel.claim("hook"))
    ended(kernel, 5)

    prune(kernel.session, keep_failed=True)

    assert [call.state for call in hooks.calls(kernel.session, group_ids=[group])] == ["ready", "failed"]
    assert (there(kernel.session), kernel.group_state(group).succeeded) == ([], 3)
    kernel.check()
    assert hooks.retry(kernel.session, [call.step_id for call in hooks.calls(kernel.session) if call.state == "failed"])
    assert drain(kernel, "hook") == 2
    prune(kernel.session)
    assert kernel.counted("hook_call") == kernel.counted("step") == 0
    assert kernel.session.fetch("select count(*) from leasehold.payload") == [(0,)]


def test_a_call_cannot_be_retried_while_its_range_is_pruned(kernel, database):
    """Method: A has pruned and not committed; B's retry of a call that stays waits for it, and finds the call then."""
    told = hooks.Hook(name="tell", on=("group_start",), call="m:f", attempts_max=1)
    kernel.group("work", hooks=[told])
    kernel.fail(kernel.claim("hook"))
    ended(kernel, 5)
    close(kernel.session)
    (failed,) = [call.step_id for call in hooks.calls(kernel.session)]
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda connection: one_range(kernel.within(connection).session)) == ("pruned", 5, 1)
        race.start("B", lambda connection: hooks.retry(kernel.within(connection).session, [failed])).waits()
        race.commit("A")
        assert race.result("B") == 1
    assert drain(kernel, "hook") == 1


def test_small_rows_go_too(kernel, clock):
    group, _ = ended(kernel)
    kernel.leave("A")
    kernel.session.fetch("insert into leasehold.refusal (at, verb, steps) values (leasehold.now(), 'finish', 1)")
    clock.advance(2 * DAY_S)
    kernel.holders.clear()
    kernel.holder("B")
    prune(kernel.session, DAY_S)
    of_group = kernel.session.fetch("select count(*) from leasehold.lane where group_id = %s", (group,))
    assert of_group == [(0,)]
    assert (kernel.counted("refusal"), kernel.counted("holder")) == (0, 1)


def test_two_that_need_the_next_range_at_once_make_it_once(kernel, database):
    """Method: A has made it and not committed; B, which has looked before, comes, waits, and finds it there."""
    with Race(database) as race:
        for looked in range(2):
            race.do("B", lambda connection: connection.execute("select leasehold.ensure_events()"))
            kernel.session.fetch("select setval('leasehold.event_seq', %s)", ((looked + 1) * 4_194_304 - 2,))
        kernel.session.fetch("select setval('leasehold.event_seq', %s)", (2 * 4_194_304 - 1,))
        race.begin("A")
        race.do("A", lambda connection: connection.execute("select leasehold.ensure_events()"))
        race.start("B", lambda connection: connection.execute("select leasehold.ensure_events()")).waits()
        race.commit("A")
        race.result("B")


# -- beside the work --------------------------------------------------------------------------------------------------


def test_claims_go_on_while_the_swap_has_its_lock(kernel, database):
    """Method: A has swapped and not committed, which takes milliseconds in life; B claims, and does not wait."""
    ended(kernel)
    close(kernel.session)
    kernel.add_runs(1)
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda connection: one_range(kernel.within(connection).session))[0] == "pruned"
        lease = race.do("B", lambda connection: kernel.within(connection).claim())
        assert lease is not None
        race.commit("A")
    kernel.succeed(lease)


def test_a_retry_that_commits_while_a_prune_waits_is_seen(kernel, database):
    """Method: A retries and has not committed; the prune has chosen, and waits for A's lock; A commits."""
    group, made = ended(kernel, 3, "failed")
    ended(kernel, 4)
    close(kernel.session)
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda connection: kernel.within(connection).retry(group)) == 3
        started = race.start("B", lambda connection: one_range(kernel.within(connection).session, tries=200))
        started.waits()
        race.commit("A")
        with pytest.raises(BROKEN, match="in use"):
            started.result()
    assert len(there(kernel.session)) == 7
    prune(kernel.session)
    assert there(kernel.session) == made
    assert drain(kernel, "work") == 3


def test_a_kept_run_that_was_retried_and_has_ended_again_meanwhile_keeps_its_new_end(kernel, database):
    """Method: as before, with the whole of the retry's round in A's transaction; no step of it stands anywhere then."""
    group, made = ended(kernel, 3, "failed")
    ended(kernel, 4)
    close(kernel.session)
    with Race(database) as race:
        race.begin("A")
        within = race.do("A", kernel.within)
        assert race.do("A", lambda _: within.retry(group)) == 3
        assert race.do("A", lambda _: drain(within, "work")) == 3
        started = race.start(
            "B", lambda connection: one_range(kernel.within(connection).session, needed=made, tries=200)
        )
        started.waits()
        race.commit("A")
        with pytest.raises(BROKEN, match="in use"):
            started.result()
    kernel.fold(group)
    assert one_range(kernel.session, needed=made)[0] == "pruned"
    assert [kernel.run_end(run) for run in made] == ["succeeded"] * 3


def test_a_range_that_is_being_read_is_busy_and_is_as_it_was(kernel, database):
    ended(kernel)
    close(kernel.session)
    before = everything(kernel.session)
    with Race(database) as race:
        race.begin("reader")
        race.do(
            "reader", lambda connection: connection.execute("select count(*) from leasehold.run_outcome").fetchall()
        )
        with pytest.raises(Refused, match="in use"):
            one_range(kernel.session, tries=2)
        assert everything(kernel.session) == before
        race.commit("reader")
    assert one_range(kernel.session)[0] == "pruned"


def test_what_an_interrupted_prune_has_left_is_removed_by_the_next(kernel):
    """Method: the swap alone, as by a process that was killed after it: its tables stand detached."""
    ended(kernel)
    close(kernel.session)
    assert one_range(kernel.session)[0] == "pruned"
    assert len([name for name in tables(kernel.session) if "gone" in name]) == 7
    done = prune(kernel.session)
    assert len([name for name in done.tables if "gone" in name]) == 7
    assert not any("gone" in name for name in tables(kernel.session))


def test_a_detach_of_events_that_was_interrupted_is_finished_by_the_next_prune(kernel, database):
    """Method: a reader keeps the detach waiting, and it is cancelled then: the server calls that partition pending."""
    ended(kernel)
    close(kernel.session)
    detach = "alter table leasehold.event detach partition leasehold.event_p0 concurrently"
    with Race(database) as race:
        race.begin("reader")
        race.do("reader", lambda connection: connection.execute("select count(*) from leasehold.event").fetchall())
        started = race.start("B", lambda connection: connection.execute(detach)).waits()
        kernel.session.fetch("select pg_cancel_backend(%s)", (race.connection("B").info.backend_pid,))
        with pytest.raises(BROKEN):
            started.result()
        race.commit("reader")
    assert next(one.pending for one in history.event_ranges(kernel.session))
    prune(kernel.session)
    assert "event_p0" not in tables(kernel.session)


def test_several_prunes_at_once_beside_adds_claims_and_retries(kernel, database):
    """They take turns; nothing is lost, nothing is pruned twice, nobody deadlocks."""
    for _ in range(3):
        ended(kernel, 4)
    group, _ = ended(kernel, 2, "failed")

    def adding(session):
        mine = kernel.on(session)
        for _ in range(15):
            mine.add_runs(3, "busy")
            drain(mine, "busy", by="C", n=2)
            groups.fold_all(session)

    def retrying(session):
        for _ in range(10):
            groups.retry(session, group)
            drain(kernel.on(session), "work", by="D")
            groups.fold_all(session)

    kernel.holder("C"), kernel.holder("D")
    works = [lambda session: [prune(session) for _ in range(4)]] * 3
    together(database, [*works, adding, retrying])
    assert deadlocks(database) == 0
    kernel.check()
    prune(kernel.session)
    assert there(kernel.session) == []
    gone = kernel.session.fetch("select sum(succeeded + failed + cancelled) from leasehold.group_pruned")
    assert gone == kernel.session.fetch("select sum(added) from leasehold.run_group")
