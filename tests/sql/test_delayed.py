"""Delayed steps: backoff, snooze, and what wakes them."""

from __future__ import annotations

import pytest

from leasehold.kernel import claims
from leasehold.kernel.groups import WorkflowStep
from leasehold.testing.races import Race


def test_an_error_is_not_claimable_before_its_time(kernel, clock):
    step = kernel.add_step()
    kernel.error(kernel.claim(), delay_s=60)
    clock.advance(59)
    assert kernel.promote() == 0
    assert kernel.claim() is None
    clock.advance(1)
    assert kernel.promote() == 1
    assert dict(kernel.claim().steps) == {step: 2}


def test_the_backoff_doubles_with_each_attempt_up_to_its_cap_with_jitter_below(kernel, clock):
    step = kernel.add_step(steps=[WorkflowStep("work", attempts_max=12, backoff_s=2, backoff_max_s=100)])
    for attempt in range(1, 12):
        full = min(100, 2 * 2 ** (attempt - 1))
        kernel.error(kernel.claim())
        assert full / 2 <= kernel.delay_s(step) <= full, attempt
        clock.advance(101)
        kernel.heartbeat("A")
        kernel.promote()
    kernel.error(kernel.claim())
    assert kernel.state(step) == "failed"


def test_the_last_attempts_error_is_a_failure_once(kernel, clock):
    run, other = kernel.add_runs(2, "parse", "store", attempts_max=2)
    step = run * 1024
    for _ in range(2):
        lease = kernel.claim("parse", n=1)
        assert lease.steps[0][0] in (step, other * 1024)
        kernel.error(lease, delay_s=0)
        kernel.promote()
    while kernel.state(step) != "failed":
        kernel.error(kernel.claim("parse", n=2), delay_s=0)
        kernel.promote()
    assert kernel.outcomes(step) == [("error", "flaky"), ("failed", "flaky")]
    assert kernel.states(run) == ["failed", "cancelled"]


def test_an_error_without_backoff_comes_back_at_once(kernel):
    kernel.add_step(steps=[WorkflowStep("work", backoff_s=0, backoff_max_s=0)])
    kernel.error(kernel.claim())
    assert kernel.promote() == 1


def test_a_snooze_is_not_an_attempt(kernel, clock):
    step = kernel.add_step(attempts_max=1)
    for _ in range(5):
        kernel.snooze(kernel.claim(), 10)
        assert (kernel.state(step), kernel.attempt(step)) == ("delayed", 1)
        clock.advance(10)
        kernel.promote()
    kernel.succeed(kernel.claim())


def test_promoting_says_when_the_next_one_is_due(kernel, clock):
    from leasehold.kernel import steps

    kernel.add_runs(2)
    kernel.snooze(kernel.claim(), 10)
    kernel.snooze(kernel.claim(), 25)
    assert steps.promote(kernel.session) == (0, 10)
    clock.advance(10)
    assert steps.promote(kernel.session) == (1, 15)
    clock.advance(15)
    assert steps.promote(kernel.session) == (1, None)


def test_two_promoters_move_each_step_once(database, kernel, clock):
    kernel.add_runs(4)
    kernel.snooze(kernel.claim(n=4), 1)
    clock.advance(1)
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda connection: kernel.within(connection).promote()) == 4
        assert race.do("B", lambda connection: kernel.within(connection).promote()) == 0
        race.commit("A")
    assert kernel.counted("ready") == 4


@pytest.mark.parametrize("key", [b"recipe", b"\x00\xff"])
def test_a_snoozed_step_is_woken_by_the_key_it_waits_for(kernel, key):
    kernel.add_runs(2)
    winner, loser = kernel.claim(by="A"), kernel.claim(by="B")
    assert kernel.session.run(lambda c: claims.take(c, "parse", [(key, winner.token)])) == [True]
    assert kernel.session.run(lambda c: claims.take(c, "parse", [(key, loser.token)])) == [False]
    kernel.snooze(loser, 3600, wait_key=key)
    assert kernel.promote() == 0

    assert kernel.session.run(lambda c: claims.give_back(c, "parse", [(key, winner.token)])) == 1

    assert kernel.state(loser.steps[0][0]) == "ready"
    assert kernel.counted("claim") == 0
