"""Breakers: a kind that errs alike k times in a row is held back and probed with one step at a time."""

from __future__ import annotations

import pytest

from leasehold.kernel import breakers, checks, groups, pauses, why
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import End, finish_all
from leasehold.testing.races import Race, together


@pytest.fixture(autouse=True)
def warnings(session):
    """What goes wrong in a breaker is only a warning, so a test that meets one fails, unless it takes it."""
    heard = []
    session.connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
    yield heard
    assert heard == []


AFTER = 3
WATCHED = [WorkflowStep("call", attempts_max=100, backoff_s=0.0, backoff_max_s=0.0, breaker_after=AFTER)]
DOWN = {"reason": "unreachable", "detail": "connect to 10.0.0.7:443 failed"}


def work(kernel, n=20, steps=WATCHED):
    group = kernel.group(steps=steps)
    kernel.add(group, n)
    return group


def err(kernel, n=1, by="A", **how):
    """*n* steps are claimed and err, one after another."""
    for _ in range(n):
        kernel.error(kernel.claim("call", by), delay_s=1000, **{**DOWN, **how})


def opened(kernel):
    return breakers.current(kernel.session)


def offered(kernel):
    return [(lane.kind, lane.probe) for lane in kernel.lanes("call", "other")]


def told(kernel):
    return [row[0] for row in kernel.session.fetch(
        "select name from leasehold.event where name like 'breaker%%' order by event_id")]  # fmt: skip


def broken(kernel, clock, n=20):
    """A breaker that has just opened."""
    group = work(kernel, n)
    err(kernel, AFTER)
    assert offered(kernel) == []
    return group


# -- opening ----------------------------------------------------------------------------------------------------------


def test_the_same_error_k_times_in_a_row_holds_the_kind_back_and_says_so(kernel, clock):
    work(kernel)
    work(kernel, steps=[WorkflowStep("other")])
    err(kernel, AFTER - 1)
    assert offered(kernel) == [("call", False), ("other", False)]

    err(kernel, detail="connect to 10.0.0.8:443 failed")  # another address, the same error

    assert offered(kernel) == [("other", False)]
    (breaker,) = opened(kernel)
    assert (breaker.kind, breaker.reason, breaker.streak, breaker.strikes) == ("call", "unreachable", AFTER, 1)
    assert told(kernel) == ["breaker_open"]
    kernel.check()


@pytest.mark.parametrize("between", ["a success", "another error", "another success on another host"])
def test_a_success_or_another_error_breaks_the_row(kernel, clock, between):
    work(kernel)
    err(kernel, AFTER - 1)
    if between == "another error":
        err(kernel, reason="bad gateway")
    else:
        kernel.succeed(kernel.claim("call", "B" if "host" in between else "A"))
    err(kernel, AFTER - 1)
    assert opened(kernel) == []
    err(kernel)
    assert len(opened(kernel)) == 1


@pytest.mark.parametrize("ended", ["failed", "cancelled", "snoozed"])
def test_what_says_nothing_about_the_kind_neither_counts_nor_breaks_the_row(kernel, clock, ended):
    work(kernel)
    for _ in range(AFTER * 2):
        kernel.finish(kernel.claim("call"), ended, delay_s=1000, **DOWN)
    assert opened(kernel) == []
    err(kernel, AFTER - 1)
    kernel.finish(kernel.claim("call"), ended, delay_s=1000, **DOWN)
    err(kernel)
    assert len(opened(kernel)) == 1


def test_in_one_page_the_order_of_the_ends_counts(kernel, clock):
    """Method: pages of five ends in a given order: e and f are errors, s is a success; then what the breaker has."""
    for page, streak in (("eeese", 1), ("seeff", 2), ("effff", 4), ("eefff", 3), ("eeees", 0)):
        kernel.forget_everything()
        work(kernel, steps=[WorkflowStep("call", attempts_max=100, breaker_after=100)])
        lease = kernel.claim("call", n=5)
        ends = [
            End(lease.token, step, "succeeded" if one == "s" else "error", one, "", 1000)
            for one, (step, _) in zip(page, lease.steps, strict=True)
        ]
        finish_all(kernel.session, ends)
        assert kernel.session.fetch("select streak from leasehold.breaker") == [(streak,)], page


def test_a_row_goes_on_from_page_to_page_and_from_host_to_host(kernel, clock):
    work(kernel)
    for name in "ABC":
        err(kernel, by=name)
    assert len(opened(kernel)) == 1


def test_a_kind_without_a_breaker_is_never_held_back(kernel, clock):
    work(kernel, 21, steps=[WorkflowStep("call", attempts_max=100)])
    err(kernel, 20)
    assert offered(kernel) == [("call", False)]
    assert kernel.counted("breaker") == 0


def test_steps_whose_time_is_up_count_as_errors(kernel, clock):
    """A provider that hangs: the leases pass their deadlines, the keepers take them back."""
    work(kernel)
    for i in range(AFTER):
        kernel.claim("call", by=f"H{i}", deadline_s=1)
    clock.advance(2)
    kernel.expire_leases()
    (breaker,) = opened(kernel)
    assert breaker.reason == "timeout"


def test_a_breaker_that_cannot_be_written_does_not_hide_how_a_step_ended(kernel, clock, warnings):
    kernel.session.fetch("alter table leasehold.breaker add constraint no_way check (streak < 0)")
    work(kernel)
    lease = kernel.claim("call", n=3)
    assert kernel.error(lease, delay_s=1000, **DOWN) == ["accepted"] * 3
    assert kernel.outcomes(lease.steps[0][0]) == [("error", "unreachable")]
    assert kernel.counted("breaker") == 0
    assert "the breaker was not told how 3 steps ended" in warnings.pop()
    kernel.check()


# -- probing ----------------------------------------------------------------------------------------------------------


def test_after_its_pause_one_step_is_let_through_and_its_success_closes_the_breaker(kernel, clock):
    broken(kernel, clock)
    clock.advance(4.9)
    assert offered(kernel) == []
    clock.advance(0.2)
    assert offered(kernel) == [("call", True)]

    probe = kernel.probe("call")

    assert len(probe.steps) == 1
    assert offered(kernel) == []  # one at a time
    kernel.check()
    assert kernel.succeed(probe) == ["accepted"]
    assert opened(kernel) == []
    assert offered(kernel) == [("call", False)]
    assert told(kernel) == ["breaker_open", "breaker_closed"]
    err(kernel, AFTER - 1)
    assert opened(kernel) == []  # it counts anew


def test_each_probe_that_errs_is_one_strike_and_doubles_the_pause_up_to_five_minutes(kernel, clock):
    broken(kernel, clock, n=40)
    pauses_s = []
    for strike in range(1, 10):
        (breaker,) = opened(kernel)
        assert breaker.strikes == strike
        pauses_s.append(breaker.probe_s)
        clock.advance(breaker.probe_s)
        kernel.error(kernel.probe("call"), delay_s=10_000, reason="still down")
    assert pauses_s == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    (breaker,) = opened(kernel)
    assert breaker.reason == "still down"


def test_concurrent_failures_are_no_strikes(kernel, clock):
    """Method: ten steps are leased before it opens; they all err afterwards, before and while a probe is out."""
    work(kernel)
    before = [kernel.claim("call", by=f"H{i}") for i in range(10)]
    err(kernel, AFTER, by="Z")
    for lease in before[:5]:
        kernel.error(lease, delay_s=1000, **DOWN)
    clock.advance(6)
    probe = kernel.probe("call", by="P")
    for lease in before[5:9]:
        kernel.error(lease, delay_s=1000, **DOWN)
    assert [one.strikes for one in opened(kernel)] == [1]
    kernel.succeed(before[9])  # nor does an old success close it: only the probe does
    assert [one.strikes for one in opened(kernel)] == [1]
    kernel.error(probe, delay_s=1000, **DOWN)
    assert [one.strikes for one in opened(kernel)] == [2]


@pytest.mark.parametrize("lost", ["released", "reaped", "snoozed", "skipped", "failed for good", "its holder left"])
def test_a_probe_that_does_not_report_leaves_nothing_latched(kernel, clock, lost):
    broken(kernel, clock)
    clock.advance(6)
    probe = kernel.probe("call", by="P")
    match lost:
        case "released":
            kernel.release(probe)
        case "reaped":
            clock.advance(31)
            kernel.holder("keeper")
            kernel.heartbeat("keeper")
            kernel.reap("keeper")
        case "snoozed":
            kernel.snooze(probe, 1000)
        case "skipped":
            kernel.finish(probe, "cancelled", reason="nothing to do")
        case "failed for good":
            kernel.fail(probe)
        case "its holder left":
            kernel.leave("P")
    clock.advance(11)
    assert offered(kernel) == [("call", True)]
    again = kernel.probe("call", by="Q")
    assert again is not None
    kernel.succeed(again)
    assert opened(kernel) == []
    kernel.check()


def test_a_probe_that_kills_its_process_is_a_strike(kernel, clock):
    broken(kernel, clock)
    clock.advance(6)
    kernel.probe("call", by="P")
    kernel.bury("P")
    assert [one.strikes for one in opened(kernel)] == [2]


def test_a_probe_of_steps_that_must_be_leased_alone_is_for_a_holder_that_holds_nothing(kernel, clock):
    """A provider that hung: all that waits is under suspicion. A busy holder is told, an idle one gets it alone."""
    work(kernel, AFTER)
    work(kernel, steps=[WorkflowStep("other")])
    for i in range(AFTER):
        kernel.claim("call", by=f"H{i}", deadline_s=1)
    clock.advance(2)
    kernel.expire_leases()
    kernel.promote()
    assert all(
        kernel.alone(step) for (step,) in kernel.session.fetch("select step_id from leasehold.ready where alone")
    )
    clock.advance(5)
    (lane,) = [lane for lane in kernel.lanes("call") if lane.probe]
    kernel.claim("other", by="busy")
    assert kernel.probe_lane(lane.lane_id, "busy") is None
    probe = kernel.probe("call", by="idle")
    assert probe.alone
    kernel.succeed(probe)
    assert opened(kernel) == []
    kernel.check()


def test_of_many_workers_that_want_the_probe_one_gets_it(database, kernel, clock):
    broken(kernel, clock)
    clock.advance(6)
    (lane,) = kernel.lanes("call")
    for i in range(8):
        kernel.holder(f"H{i}")

    got = together(database, [lambda s, i=i: kernel.on(s).probe_lane(lane.lane_id, f"H{i}") for i in range(8)])

    assert len([one for one in got if one is not None]) == 1
    assert kernel.counted("lease") == 1
    kernel.check()


def test_a_claim_for_a_probe_that_waits_for_another_one_takes_nothing(database, kernel, clock):
    broken(kernel, clock)
    clock.advance(6)
    (lane,) = kernel.lanes("call")
    kernel.holder("A"), kernel.holder("B")
    with Race(database) as race:
        race.begin("A")
        assert race.do("A", lambda c: kernel.within(c).probe_lane(lane.lane_id, "A")) is not None
        race.start("B", lambda c: kernel.within(c).probe_lane(lane.lane_id, "B")).waits()
        race.commit("A")
        assert race.result("B") is None
    assert kernel.counted("lease") == 1


def test_a_probe_that_is_asked_for_again_under_its_number_is_the_same(kernel, clock):
    broken(kernel, clock)
    clock.advance(6)
    (lane,) = kernel.lanes("call")
    first = kernel.probe_lane(lane.lane_id)
    kernel.claim_nos[kernel.holder("A")] -= 1
    again = kernel.probe_lane(lane.lane_id)
    assert (again.token, again.steps) == (first.token, first.steps)


def test_a_probe_that_comes_when_the_breaker_has_closed_is_a_claim_like_any_other(kernel, clock):
    broken(kernel, clock)
    (lane_id,) = [row[0] for row in kernel.session.fetch("select lane_id from leasehold.lane")]
    assert kernel.probe_lane(lane_id) is None  # too early
    pauses.resume(kernel.session, "kind", "call", by="ann")
    assert offered(kernel) == [("call", False)]
    lease = kernel.probe_lane(lane_id)
    kernel.error(lease, delay_s=1000, **DOWN)
    assert opened(kernel) == []


def test_a_finish_and_a_probe_of_one_kind_do_not_deadlock(database, kernel, clock):
    """Method: both write the breaker last; ten rounds of errors and probes at once, from eight sessions."""
    work(kernel, n=400)

    def churn(session, name):
        mine = kernel.on(session)
        for _ in range(10):
            lease = mine.claim("call", name) or mine.probe("call", name)
            if lease is not None:
                mine.error(lease, delay_s=1000, **DOWN)
        return name

    for i in range(8):
        kernel.holder(f"H{i}")
    assert len(together(database, [lambda s, i=i: churn(s, f"H{i}") for i in range(8)])) == 8
    assert checks.violations(kernel.session) == []


# -- saying so --------------------------------------------------------------------------------------------------------


def test_why_names_the_breaker_and_the_step_that_is_tried(kernel, clock):
    kernel.holder()
    group = broken(kernel, clock)
    waiting = kernel.session.fetch("select max(step_id) from leasehold.ready")[0][0]

    def said():
        return why.sentence(why.step_facts(kernel.session, waiting))

    assert said().endswith(
        "is ready, but the breaker of kind call is open, after 3 errors in a row with 'unreachable'; "
        "one step is tried in 5 s: leasehold kind resume call."
    )
    clock.advance(6)
    assert "one step is tried as soon as a worker looks" in said()
    probe = kernel.probe("call")
    step = probe.steps[0][0]
    assert f"step {step >> 10}.{step & 1023} is tried now" in said()
    assert group


def test_resuming_a_kind_closes_its_breaker_and_ends_its_pause(kernel, clock):
    broken(kernel, clock)
    pauses.pause(kernel.session, "kind", "call")
    assert pauses.resume(kernel.session, "kind", "call", by="ann@host")
    assert offered(kernel) == [("call", False)]
    told_why = kernel.session.fetch("select data ->> 'why' from leasehold.event where name = 'breaker_closed'")
    assert told_why == [("resumed by ann@host",)]


# -- fingerprints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (("a", None), ("a", ""), True),
        (("a", "x"), ("b", "x"), False),
        (("a", "at 10.0.0.1:80"), ("a", "at 10.0.0.22:8080"), True),
        (("a", "no such file: /srv/a/b.pdf"), ("a", "no such file: /mnt/c.txt"), True),
        (("a", 'key "x" is missing'), ("a", 'key "yy y" is missing'), True),
        (("a", "0x7f3a: Bad"), ("a", "0xdead01:   bad"), True),
        (("a", "refused"), ("a", "timed out"), False),
        (("KeyError", "Traceback\n  line 12\nKeyError: 'a'"), ("KeyError", "Trace\n  line 99\nKeyError: 'b'\n"), True),
        (("a", "id 7f1c2d3e-0000-4a4b-8c8d-123456789abc"), ("a", "id 00000000-1111-4a4b-8c8d-fffffffff000"), True),
    ],
)
def test_errors_that_mean_the_same_have_one_fingerprint(session, one, other, alike):
    first, second = (
        session.fetch("select leasehold.fingerprint(%s, %s)", pair)[0][0] for pair in (one, other)
    )  # fmt: skip
    assert len(first) == 12
    assert (first == second) is alike


def test_a_retry_by_fingerprint_takes_those_that_failed_alike(kernel):
    runs = kernel.add_runs(4)
    group = kernel.group_of(runs[0] * 1024)
    for detail in ("at 10.0.0.1", "at 10.0.0.2", "no route", "no route"):
        kernel.finish(kernel.claim(), "failed", reason="broken", detail=detail)
    kernel.fold(group)
    failed = groups.failures(kernel.session, [group])
    assert [(one.reason, one.runs) for one in failed] == [("broken", 2), ("broken", 2)]
    alike = next(one for one in failed if "no route" in one.detail)

    assert groups.retry(kernel.session, group, fingerprints=[alike.fingerprint]) == 2

    assert [kernel.run_end(run) for run in runs] == ["failed", "failed", None, None]
    kernel.check()
