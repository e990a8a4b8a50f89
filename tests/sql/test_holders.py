"""Holders: heartbeats keep, reapers take away, and blame needs proof."""

from __future__ import annotations

import pytest

from leasehold.errors import HolderGone, UsageError
from leasehold.kernel import holders
from leasehold.testing.faults import FaultPlan
from leasehold.testing.races import Race, together
from leasehold.testing.stories import Kernel


def test_a_holder_whose_heartbeat_stopped_is_reaped_and_its_steps_come_back(kernel, clock):
    runs = kernel.add_runs(3)
    kernel.claim(by="A", n=3)
    clock.advance(29)
    assert kernel.reap("B") == []
    clock.advance(2)
    (ended,) = kernel.reap("B")
    assert ended.returned == tuple(run * 1024 for run in runs)
    assert {kernel.state(run * 1024) for run in runs} == {"ready"}


def test_one_heartbeat_keeps_everything_that_a_holder_holds(kernel, clock):
    kernel.add_runs(4)
    tokens = {kernel.claim(by="A").token for _ in range(4)}
    for _ in range(10):
        clock.advance(20)
        assert kernel.heartbeat("A") == {"A": frozenset(tokens)}
        assert kernel.reap("B") == []


def test_a_late_heartbeat_keeps_a_holder_that_nobody_has_reaped(kernel, clock):
    kernel.add_step()
    lease = kernel.claim(by="A")
    clock.advance(1000)
    assert kernel.heartbeat("A") == {"A": frozenset({lease.token})}
    assert kernel.reap("B") == []
    assert kernel.succeed(lease) == ["accepted"]


def test_a_heartbeat_names_who_is_gone_and_which_leases_were_taken_away(kernel, clock):
    kernel.add_runs(2)
    kernel.claim(by="A", deadline_s=5)
    kept = kernel.claim(by="A", deadline_s=500)
    kernel.holder("dead")
    kernel.leave("dead")
    clock.advance(10)
    kernel.expire_leases()
    assert kernel.heartbeat("A", "dead") == {"A": frozenset({kept.token})}


def test_a_reaped_holder_never_comes_back(kernel, clock):
    kernel.holder("A")
    clock.advance(31)
    kernel.reap("B")
    assert kernel.heartbeat("A") == {}
    kernel.add_step()
    with pytest.raises(HolderGone):
        kernel.claim(by="A")


def test_a_reaper_never_reaps_itself_however_old_its_heartbeat(kernel, clock):
    kernel.holder("A"), kernel.holder("B")
    clock.advance(10_000)
    assert [ended.name for ended in kernel.reap("A")] == ["B"]


def test_nobody_is_reaped_before_the_server_has_run_for_a_ttl(kernel, clock):
    """After an outage every holder looks expired; the living ones need time to say so."""
    holder = kernel.holder("A", ttl_s=10**9)
    kernel.session.fetch("update leasehold.holder set expires_at = leasehold.now() - interval '1 day'")
    assert kernel.reap() == []
    assert holders.reap_these(kernel.session, [holder]) == 0
    kernel.session.fetch("update leasehold.holder set ttl = interval '1 second'")
    clock.advance(5)
    assert len(kernel.reap()) == 1


def test_leaving_gives_everything_back_uncharged(kernel):
    kernel.add_runs(3)
    kernel.claim(n=3)
    assert kernel.leave() == 3
    assert kernel.leave() == 0
    lease = kernel.claim(by="B", n=3)
    assert [attempt for _, attempt in lease.steps] == [1, 1, 1]
    assert not lease.alone


def test_leaving_does_not_hide_that_one_was_reaped(kernel, clock):
    holder = kernel.holder("A")
    clock.advance(31)
    kernel.reap("B")
    ended = "select ended_at, end_reason from leasehold.holder where holder_id = %s"
    before = kernel.session.fetch(ended, (holder,))
    clock.advance(5)
    assert kernel.leave("A") == 0
    assert kernel.session.fetch(ended, (holder,)) == before
    assert before[0][1] == "reaped"


def test_a_released_step_is_ready_at_once_and_not_charged(kernel):
    step = kernel.add_step()
    lease = kernel.claim()
    assert kernel.release(lease) == 1
    assert kernel.release(lease) == 0
    assert kernel.refused("release") == 1
    assert (kernel.state(step), kernel.attempt(step)) == ("ready", 1)


def test_a_late_release_does_not_touch_the_successors_lease(kernel):
    step = kernel.add_step()
    late = kernel.claim(by="A")
    kernel.release(late)
    current = kernel.claim(by="B")
    assert kernel.release(late) == 0
    assert kernel.state(step) == "leased"
    assert kernel.succeed(current) == ["accepted"]


# -- blame ------------------------------------------------------------------------------------------------------------


def test_the_only_step_of_a_dead_holder_is_charged(kernel):
    step = kernel.add_step()
    kernel.claim(by="A")
    ended = kernel.bury("A")
    assert (ended.returned, ended.charged) == ((), step)
    assert (kernel.state(step), kernel.attempt(step)) == ("delayed", 2)
    assert kernel.outcomes(step) == [("error", "holder died")]


def test_of_many_steps_none_is_charged_and_each_goes_alone(kernel):
    """Nobody knows which of them it was: blame needs proof."""
    runs = kernel.add_runs(3)
    kernel.claim(by="A", n=2)
    kernel.claim(by="A", n=1)
    ended = kernel.bury("A")
    assert ended.charged is None
    for run in runs:
        assert (kernel.state(run * 1024), kernel.attempt(run * 1024)) == ("ready", 1)
        assert kernel.alone(run * 1024)


def test_a_step_that_kills_its_process_ends_failed_and_takes_no_neighbour_along(kernel, clock):
    """Three neighbours and a killer in one page; whoever holds the killer dies."""
    runs = kernel.add_runs(4, attempts_max=3)
    killer = runs[1] * 1024
    deaths = 0
    for turn in range(40):
        name = f"worker {turn}"
        lease = kernel.claim(by=name, n=10)
        if lease is None:
            if not kernel.counted("delayed"):
                break
            clock.advance(120)
            kernel.heartbeat(*kernel.holders)
            kernel.promote()
        elif killer in dict(lease.steps):
            kernel.bury(name)
            deaths += 1
        else:
            kernel.succeed(lease)
    assert deaths == 1 + 3  # once among the others, then alone as often as it may
    assert kernel.state(killer) == "failed"
    assert [reason for _, reason in kernel.outcomes(killer)] == ["holder died"] * 3
    for run in set(runs) - {killer >> 10}:
        assert kernel.outcomes(run * 1024) == [("succeeded", None)]


def test_a_blamed_step_is_charged_and_its_neighbours_go_back_as_they_were(kernel):
    runs = kernel.add_runs(3)
    kernel.claim(by="A", n=3)
    ended = kernel.bury("A", blamed=runs[1] * 1024, reason="timeout")
    assert ended.charged == runs[1] * 1024
    assert kernel.outcomes(runs[1] * 1024) == [("error", "timeout")]
    for run in (runs[0], runs[2]):
        assert (kernel.state(run * 1024), kernel.attempt(run * 1024)) == ("ready", 1)
        assert not kernel.alone(run * 1024)


def test_when_the_blamed_step_has_ended_meanwhile_nobody_is_charged_in_its_place(kernel):
    """Its keeper killed the process for one step; the one that is left did nothing wrong."""
    runs = kernel.add_runs(2)
    lease = kernel.claim(by="A", n=2)
    kernel.succeed(lease, only=[runs[0] * 1024])
    ended = kernel.bury("A", blamed=runs[0] * 1024, reason="timeout")
    assert (ended.returned, ended.charged) == ((runs[1] * 1024,), None)
    assert (kernel.state(runs[1] * 1024), kernel.attempt(runs[1] * 1024)) == ("ready", 1)
    assert not kernel.alone(runs[1] * 1024)


def test_a_step_reaped_on_its_last_attempt_ends_failed(kernel, clock):
    step = kernel.add_step("work", "more", attempts_max=1)
    kernel.claim(by="A")
    clock.advance(31)
    kernel.reap("B")
    assert kernel.states(step >> 10) == ["failed", "cancelled"]


def test_burying_a_holder_twice_says_that_it_had_ended(kernel):
    kernel.holder("A")
    assert kernel.bury("A") is not None
    assert kernel.bury("A") is None


def test_a_keeper_that_buries_a_child_waits_for_the_childs_last_claim(database, kernel):
    """The claim is committed although the child is dead; what it took must come back with the rest."""
    kernel.add_step()
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.holder("A")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).claim_lanes(lanes))
        race.start("keeper", lambda connection: kernel.within(connection).bury("A")).waits()
        race.commit("A")
        assert race.result("keeper").charged is not None


# -- deadlines --------------------------------------------------------------------------------------------------------


def test_a_step_past_its_deadline_is_charged_although_its_holder_lives(kernel, clock):
    step = kernel.add_step()
    late = kernel.claim(deadline_s=10)
    clock.advance(11)
    assert kernel.expire_leases() == [step]
    assert kernel.heartbeat("A") == {"A": frozenset()}
    assert kernel.outcomes(step) == [("error", "timeout")]
    assert kernel.alone(step)
    assert kernel.succeed(late) == ["lost"]


def test_a_page_past_its_deadline_goes_back_uncharged_and_alone(kernel, clock):
    runs = kernel.add_runs(3)
    kernel.claim(n=3, deadline_s=10)
    clock.advance(11)
    assert len(kernel.expire_leases()) == 3
    for run in runs:
        assert (kernel.state(run * 1024), kernel.attempt(run * 1024)) == ("ready", 1)
        assert kernel.alone(run * 1024)


def test_a_lease_past_its_deadline_that_is_being_finished_is_left_to_its_finish(kernel, database, clock):
    """The backstop neither waits nor takes away a step whose end is on its way."""
    step = kernel.add_step()
    lease = kernel.claim(by="A", deadline_s=5)
    clock.advance(6)
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda connection: kernel.within(connection).succeed(lease)) == ["accepted"]
        assert kernel.expire_leases() == []
        race.commit("A")
    assert kernel.expire_leases() == []
    assert kernel.outcomes(step) == [("succeeded", None)]


def test_a_deadline_is_not_moved_by_heartbeats(kernel, clock):
    kernel.add_step()
    kernel.claim(deadline_s=60)
    for _ in range(4):
        clock.advance(20)
        kernel.heartbeat("A")
    assert len(kernel.expire_leases()) == 1


# -- races ------------------------------------------------------------------------------------------------------------


def test_a_reaper_does_not_take_a_holder_that_is_being_renewed(database, kernel, clock):
    """Reap against heartbeat, the heartbeat first: the reaper skips the row, and afterwards the holder lives."""
    kernel.add_step()
    lease = kernel.claim(by="A")
    clock.advance(31)
    kernel.holder("R")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).heartbeat("A"))
        race.start("R", lambda connection: kernel.within(connection).reap("R")).settles()
        race.commit("A")
        assert race.result("R") == []
    assert kernel.reap("R") == []
    assert kernel.succeed(lease) == ["accepted"]


def test_a_reaper_that_looked_before_the_heartbeat_looks_again_under_the_lock(database, kernel, clock):
    """The reaper has seen an old expiry; the heartbeat commits before the reaper has the row.

    Method: the reaper waits at an earlier holder's lease, which somebody is finishing, while A says that it lives. That
    it began with a stale look is what matters: A must not be ended.
    """
    kernel.add_runs(2)
    first = kernel.claim(by="first")
    kernel.claim(by="A")
    clock.advance(31)
    kernel.holder("R")
    with Race(database) as race:
        race.begin("first")
        race.do("first", lambda connection: kernel.within(connection).succeed(first))
        started = race.start("R", lambda connection: kernel.within(connection).reap("R")).waits()
        beat = race.start("A", lambda connection: kernel.within(connection).heartbeat("A"))
        race.commit("first")
        reaped, alive = [ended.name for ended in started.result()], beat.result()
    assert ("A" in reaped) == ("A" not in alive)  # one of the two, never both


def test_a_heartbeat_that_waits_for_a_reap_learns_that_it_is_over(database, kernel, clock):
    kernel.add_step()
    kernel.claim(by="A")
    clock.advance(31)
    kernel.holder("R")
    with Race(database) as race:
        race.begin("R")
        assert len(race.do("R", lambda connection: kernel.within(connection).reap("R"))) == 1
        race.start("A", lambda connection: kernel.within(connection).heartbeat("A")).waits()
        race.commit("R")
        assert race.result("A") == {}


def test_a_claim_that_waits_for_a_reap_of_its_holder_gets_nothing(database, kernel, clock):
    step = kernel.add_step()
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.holder("A"), kernel.holder("R")
    clock.advance(31)
    with Race(database) as race:
        race.begin("R")
        race.do("R", lambda connection: kernel.within(connection).reap("R"))
        claim = race.start("A", lambda connection: kernel.within(connection).claim_lanes(lanes)).waits()
        race.commit("R")
        with pytest.raises(Exception, match="has ended"):
            claim.result()
    assert kernel.state(step) == "ready"


def test_a_reaper_skips_a_holder_that_is_claiming(database, kernel, clock):
    step = kernel.add_step()
    lanes = [lane.lane_id for lane in kernel.lanes("work")]
    kernel.holder("A"), kernel.holder("R")
    clock.advance(31)
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).claim_lanes(lanes))
        assert race.do("R", lambda connection: kernel.within(connection).reap("R")) == []
        race.commit("A")
    assert kernel.state(step) == "leased"
    assert len(kernel.reap("R")) == 1
    assert kernel.state(step) == "delayed"


def test_two_reapers_at_once_give_each_step_back_once(database, kernel, clock):
    runs = kernel.add_runs(60)
    for i in range(20):
        kernel.claim(by=f"dead {i}", n=3)
    reapers = [f"reaper {i}" for i in range(4)]
    for name in reapers:
        kernel.holder(name)
    clock.advance(31)
    ids = [kernel.holder(name) for name in reapers]

    def reap(session):
        from leasehold.kernel import holders

        return holders.reap(session, callers=ids)

    ended = [one for part in together(database, [reap] * 4) for one in part]

    assert sorted(one.name for one in ended) == sorted(f"dead {i}" for i in range(20))
    assert sorted(step for one in ended for step in one.returned) == [run * 1024 for run in runs]


def test_a_reap_whose_reply_was_lost_charges_nobody_twice(kernel, clock):
    step = kernel.add_step()
    kernel.claim(by="A")
    kernel.holder("B")
    clock.advance(31)
    with FaultPlan().at("drop_replies").installed():
        kernel.reap("B")
    assert kernel.attempt(step) == 2


def killed(kernel: Kernel, n: int) -> None:
    kernel.claim(by="killed", n=n)
    kernel.bury("killed")
    kernel.holders.pop("killed")


def test_who_waits_for_a_holders_seat_reaps_that_holder_and_nobody_else(kernel, clock):
    for name in ("dead", "also dead", "alive"):
        kernel.holder(name)
    clock.advance(31)
    kernel.heartbeat("alive")
    ids = [kernel.holder(name) for name in ("dead", "alive")]
    assert holders.reap_these(kernel.session, ids) == 1
    assert holders.reap_these(kernel.session, ids) == 0
    assert set(kernel.heartbeat("dead", "also dead", "alive")) == {"also dead", "alive"}


def test_reaping_one_holder_steps_over_it_while_it_is_being_renewed(database, kernel, clock):
    holder = kernel.holder("A")
    clock.advance(31)
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).heartbeat("A"))
        assert race.do("B", lambda connection: holders.reap_these(kernel.within(connection).session, [holder])) == 0
        race.commit("A")
    assert holders.reap_these(kernel.session, [holder]) == 0


# -- drained ----------------------------------------------------------------------------------------------------------


def test_a_drained_worker_is_told_with_its_heartbeat_until_it_is_resumed(kernel):
    """And keeps what it holds meanwhile."""
    kernel.add_step("work")
    lease = kernel.claim()
    first, second = kernel.holder("A"), kernel.holder("B")

    def told() -> list[str | None]:
        kept = holders.heartbeat(kernel.session, [first, second])
        assert kept[first].tokens == {lease.token}
        return [kept[one].drain for one in (first, second)]

    assert holders.drain(kernel.session, [first], holders.END, by="ann") == [first]
    assert told() == ["end", None]
    assert holders.drain(kernel.session, [first, second], holders.IDLE, by="ben") == [first, second]
    assert told() == ["idle", "idle"]
    assert [(one.drain, one.drained_by) for one in holders.living(kernel.session)] == [("idle", "ben")] * 2
    assert holders.drain(kernel.session, [second], None) == [second]
    assert told() == ["idle", None]
    assert kernel.succeed(lease) == ["accepted"]


def test_nobody_but_a_living_worker_is_drained(kernel):
    ended = kernel.holder("A")
    kernel.leave("A")
    program = holders.join(kernel.session, kind="cli", name="backup", ttl_s=30)
    worker = kernel.holder("B")
    assert holders.drain(kernel.session, [ended, program, worker], holders.END) == [worker]
    with pytest.raises(UsageError, match="must be 'end' or 'idle'"):
        holders.drain(kernel.session, [worker], "stop")
