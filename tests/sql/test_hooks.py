"""Hooks: for every event that a hook names one call is made, and a call is a step that counts nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leasehold.errors import NotFound, UsageError
from leasehold.kernel import groups, hooks
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.hooks import EVENTS, Hook
from leasehold.testing.races import together
from leasehold.testing.stories import drain


def hook(*on, name="tell", **options):
    return Hook(name=name, on=on, call="m:f", **options)


def test_a_hook_is_stored_with_its_version_of_the_workflow(session, kernel):
    """The same definition is the same workflow, whatever the order of its hooks; another hook makes another one, and
    groups of the first keep theirs."""
    steps = groups.chain("work")
    told, noted = Hook(name="tell", on=("group_end",), call="m:f"), Hook(name="note", on=("run_end",), call="m:g")
    plain = groups.register(session, "w", steps)
    both = groups.register(session, "w", steps, hooks=[told, noted])

    assert groups.register(session, "w", steps, hooks=[noted, told]) == both
    assert groups.register(session, "w", steps) == plain
    assert groups.register(session, "w", steps, hooks=[told]) not in (plain, both)
    again = groups.register(session, "w", steps, hooks=[told, noted], events=["step_end"])
    assert again not in (plain, both)


def test_hooks_on_the_same_terms_share_them(session, kernel):
    steps = groups.chain("work")
    before = kernel.counted("workflow")
    groups.register(session, "w", steps, hooks=[Hook(name=f"h{i}", on=("group_end",), call="m:f") for i in range(4)])
    assert kernel.counted("workflow") == before + 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "Tell"}, "cannot name a hook"),
        ({"on": ("group_ended",)}, "no event 'group_ended'"),
        ({"on": ()}, "one event or more"),
        ({"on": ("run_end", "run_end")}, "one event or more"),
        ({"call": "module.function"}, "neither a function nor an address"),
        ({"call": "ftp://host/path"}, "neither a function nor an address"),
        ({"attempts_max": 0}, "attempts_max=0"),
        ({"backoff_s": 5.0, "backoff_max_s": 1.0}, "backoff_s=5.0"),
        ({"timeout_s": 0}, "timeout_s=0"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_and_told_why(wrong, says):
    with pytest.raises(UsageError, match=says):
        Hook(**{"name": "tell", "on": ("group_end",), "call": "m:f", **wrong})


def test_two_hooks_of_one_name_and_events_that_are_none_of_a_step_are_refused(session):
    hook = Hook(name="tell", on=("group_end",), call="m:f")
    with pytest.raises(UsageError, match="two hooks named 'tell'"):
        groups.register(session, "w", groups.chain("work"), hooks=[hook, hook])
    with pytest.raises(UsageError, match="'run_end' is no event of a step"):
        groups.register(session, "w", groups.chain("work"), events=["run_end"])


# -- events and the calls they make -----------------------------------------------------------------------------------


def work(kernel, group, *kinds, how=None):
    """Everything that is ready in a group is claimed and ends, as *how* says of a lease, else with success."""
    drain(kernel, *(kinds or ("work",)), work=how)
    kernel.fold(group)


def test_every_event_that_a_hook_names_makes_one_call_of_it(kernel):
    """Method: a hook on all eight events; one run succeeds in two steps, one fails in its first."""
    group = kernel.group("first", "second", hooks=[hook(*EVENTS)])
    kernel.add(group, 2)
    kernel.seal(group)
    lease = kernel.claim("first", n=2)
    kernel.finish(lease, only=[lease.steps[0][0]])
    kernel.fail(lease, only=[lease.steps[1][0]])
    work(kernel, group, "second")

    told = [(call.event, call.run_id) for call in kernel.calls()]
    good, bad = lease.steps[0][0] >> 10, lease.steps[1][0] >> 10
    assert [name for name, run in told if run is None] == ["group_start", "group_end"]
    assert [name for name, run in told if run == good] == [
        "run_start", "step_start", "step_end", "step_start", "step_end", "run_end",
    ]  # fmt: skip
    assert [name for name, run in told if run == bad] == ["run_start", "step_start", "step_failed", "run_failed"]
    assert [call.event for call in kernel.calls()] == kernel.events(group)
    assert {call.state for call in kernel.calls()} == {"ready"}


def test_every_event_carries_the_data_that_its_documentation_says(kernel, session):
    """Method: a story in which all eight happen, beside the table of docs/reference/events.md."""
    group = kernel.group(hooks=[hook(*EVENTS)])
    kernel.add(group, 2)
    kernel.seal(group)
    lease = kernel.claim(n=2)
    kernel.finish(lease, only=[lease.steps[0][0]])
    kernel.fail(lease, only=[lease.steps[1][0]])
    kernel.fold(group)
    page = (Path(__file__).parents[2] / "docs/reference/events.md").read_text("utf-8")
    said = {
        name: set(re.findall("`([a-z_]+)`", data))
        for name, data in re.findall(r"^\| `([a-z_]+)` \|.*\| ([^|]*) \|$", page, re.MULTILINE)
        if name in EVENTS
    }
    found = {name: set(data) for name, data in kernel.data_of_events(group)}
    assert said == found


def test_a_call_carries_its_event_its_item_and_a_key_of_its_own(kernel):
    group = kernel.group(hooks=[hook("run_end", "group_end", timeout_s=7)], label="a batch")
    (run,) = kernel.add(group, 1)
    kernel.seal(group)
    work(kernel, group)

    ended, complete = (kernel.claim("hook", by, items=True).items[0] for by in ("A", "B"))
    assert ended["item"] == {"n": 0}
    assert ended["event"] | {"at": ""} == {
        "event_id": ended["event"]["event_id"], "name": "run_end", "at": "", "workflow": "test", "group_id": group,
        "label": "a batch", "run_id": run, "data": {"ended": "succeeded"},
    }  # fmt: skip
    assert (ended["hook"], ended["call"], ended["timeout_s"]) == ("tell", "m:f", 7)
    assert complete["item"] is None
    assert complete["event"]["data"] == {"round": 1, "ended": "succeeded", "succeeded": 1, "failed": 0, "cancelled": 0}
    assert [ended["key"], complete["key"]] == [call.key for call in kernel.calls()]
    assert len({ended["key"], complete["key"]}) == 2


def test_step_events_are_written_only_where_somebody_subscribed(kernel):
    """Neither beside a hook on other events, nor in another workflow; a subscription brings them, from then on."""
    silent, beside = kernel.group(hooks=[hook("run_end")]), kernel.group("work", "more")
    asked = kernel.group(events=["step_end"])
    later = kernel.group("later")
    for group in (silent, beside, asked, later):
        kernel.add(group, 1)
    hooks.subscribe(kernel.session, later, ["step_start"])
    hooks.subscribe(kernel.session, later, ["step_start", "step_failed"])
    work(kernel, silent, "work", "more", "later")

    assert kernel.events(silent) == ["group_start", "run_start", "run_end"]
    assert kernel.events(beside) == ["group_start", "run_start", "run_end"]
    assert kernel.events(asked) == ["group_start", "run_start", "step_end", "run_end"]
    assert kernel.events(later) == ["group_start", "run_start", "step_start", "run_end"]
    with pytest.raises(UsageError, match="no event of a step"):
        hooks.subscribe(kernel.session, later, ["run_end"])
    with pytest.raises(NotFound):
        hooks.subscribe(kernel.session, 10**9, ["step_end"])


def test_the_end_of_a_step_is_not_told_for_an_error_that_is_tried_again(kernel, clock):
    """Each attempt starts; only the last one ends."""
    group = kernel.group(events=["step_start", "step_end", "step_failed"], attempts_max=2)
    kernel.add(group, 2)
    kernel.error(kernel.claim())
    kernel.snooze(kernel.claim(), 5)
    clock.advance(100)
    kernel.promote()
    drain(
        kernel, "work", n=1, work=lambda lease: kernel.error(lease) if lease.steps[0][1] == 2 else kernel.succeed(lease)
    )
    names = [name for name in kernel.events(group) if name.startswith("step")]
    assert sorted(names) == ["step_end", "step_failed", *["step_start"] * 4]


def test_the_start_of_a_step_that_a_finish_leases_at_once_is_told_after_the_end_before_it(kernel):
    """Method: the second step is leased by the finish of the first."""
    from test_successors import finish, room

    group = kernel.group("work", "next", events=["step_start", "step_end"])
    kernel.add(group, 1)
    assert finish(kernel, kernel.claim("work"), room(kernel, "next")).successors
    assert kernel.events(group) == ["group_start", "run_start", "step_start", "step_end", "step_start"]


def test_a_run_that_fails_is_told_once_a_round(kernel):
    """Two branches fail in one run, in transactions of their own; after a retry both fail again."""
    fork = [WorkflowStep("work", (1, 2)), WorkflowStep("left", (3,)), WorkflowStep("right", (3,)), WorkflowStep("join")]
    group = kernel.group(steps=fork, hooks=[hook("run_failed", "run_end")])
    kernel.add(group, 1)
    kernel.seal(group)
    kernel.succeed(kernel.claim("work"))
    for _ in range(2):
        left, right = kernel.claim("left", "A"), kernel.claim("right", "B")
        kernel.fail(left)
        kernel.fail(right)
        kernel.fold(group)
        kernel.retry(group)
    assert [call.event for call in kernel.calls()] == ["run_failed", "run_failed"]
    assert kernel.events(group, "run_end") == []


def test_a_group_that_was_cancelled_or_failed_ends_with_an_event_as_any_other(kernel):
    failed, cancelled, empty = (kernel.group(hooks=[hook("group_end")]) for _ in range(3))
    kernel.add(failed, 1)
    kernel.add(cancelled, 3)
    kernel.cancel(cancelled)
    kernel.sweep()
    kernel.fold(cancelled)
    kernel.seal(empty)
    kernel.seal(failed)
    work(kernel, failed, how=kernel.fail)
    found = [kernel.claim("hook", str(i), items=True).items[0]["event"] for i in range(3)]
    assert sorted((one["group_id"], one["data"]["ended"]) for one in found) == sorted(
        [(failed, "failed"), (cancelled, "cancelled"), (empty, "succeeded")]
    )


def test_a_round_more_is_a_call_more(kernel):
    """A retry, and runs that are added to a group that was complete."""
    group = kernel.group(hooks=[hook("group_start", "group_end")])
    kernel.add(group, 1)
    kernel.seal(group)
    work(kernel, group, how=kernel.fail)
    kernel.retry(group)
    work(kernel, group)
    kernel.add(group, 1)
    work(kernel, group)
    assert [call.event for call in kernel.calls()] == ["group_start", "group_end", "group_end", "group_end"]


def test_8_workers_that_finish_the_last_runs_together_make_one_call_for_the_end_of_the_group(kernel, database):
    """A race of 8 sessions, 3 times: each finishes its run and folds."""
    for _ in range(3):
        group = kernel.group(hooks=[hook("group_end")])
        kernel.add(group, 8)
        kernel.seal(group)
        leases = [kernel.claim(by=f"w{i}") for i in range(8)]
        before = len(kernel.calls())

        def end(session, lease, group=group):
            kernel.on(session).succeed(lease)
            kernel.on(session).fold(group)

        together(database, [lambda session, lease=lease: end(session, lease) for lease in leases])
        kernel.fold(group)
        assert len(kernel.calls()) == before + 1


# -- calls as steps ---------------------------------------------------------------------------------------------------


def one_call(kernel, **options):
    """A group that has ended, and its only call, for that."""
    group = kernel.group(hooks=[hook("group_end", **options)])
    kernel.add(group, 1)
    kernel.seal(group)
    work(kernel, group)
    (call,) = kernel.calls()
    return group, call


def test_a_call_counts_in_no_group_and_raises_nothing(kernel):
    """Whatever way it ends: the group stays complete, with the counts it had, and no event is written."""
    for how in (kernel.succeed, kernel.fail, lambda lease: kernel.finish(lease, "cancelled", reason="nothing to do")):
        group = kernel.group(hooks=[hook("group_end")])
        kernel.add(group, 1)
        kernel.seal(group)
        work(kernel, group)
        before, events, runs = kernel.group_state(group), kernel.counted("event"), kernel.counted("run")
        how(kernel.claim("hook"))
        kernel.fold(group)
        assert kernel.group_state(group) == before
        assert (kernel.counted("event"), kernel.counted("run"), kernel.counted("group_delta")) == (events, runs, 0)
    assert [call.state for call in kernel.calls()] == ["succeeded", "failed", "cancelled"]


def test_a_call_is_tried_again_as_its_hook_says_and_then_kept_as_failed(kernel, clock):
    one_call(kernel, attempts_max=3, backoff_s=10, backoff_max_s=15)
    waits = []
    for _ in range(3):
        kernel.error(kernel.claim("hook"), detail="away")
        found = kernel.calls()[0]
        if found.ready_in_s is not None:
            waits.append(found.ready_in_s)
        clock.advance(20)
        kernel.promote()
    assert [5 <= waits[0] <= 10, 7.5 <= waits[1] <= 15] == [True, True]
    (found,) = kernel.calls()
    assert (found.state, found.attempts, found.reason, found.detail) == ("failed", 3, "flaky", "away")
    assert kernel.claim("hook") is None


def test_a_call_that_failed_is_made_again_under_its_key_and_once(kernel, database):
    """A race of two retries of the same call; a call that did not fail is left alone."""
    _, call = one_call(kernel, attempts_max=1)
    assert hooks.retry(kernel.session, [call.step_id]) == 0
    kernel.error(kernel.claim("hook"))
    assert sorted(together(database, [lambda session: hooks.retry(session, [call.step_id])] * 2)) == [0, 1]
    lease = kernel.claim("hook", items=True)
    assert lease.items[0]["key"] == call.key
    kernel.succeed(lease)
    assert [found.state for found in kernel.calls()] == ["succeeded"]


def test_a_call_for_a_later_event_of_a_run_waits_for_the_earlier_one_and_for_no_other(kernel):
    group = kernel.group(hooks=[hook("run_start", "run_end"), hook("run_end", name="zother")])
    kernel.add(group, 2)
    work(kernel, group)
    calls = {(call.hook, call.event, call.run_id): call.step_id for call in kernel.calls()}
    one, two = sorted({call.run_id for call in kernel.calls()})

    def waits(name, event, run):
        found = hooks.waits_for(kernel.session, calls[name, event, run])
        return found and found[0]

    assert waits("tell", "run_end", one) == calls["tell", "run_start", one]
    assert waits("tell", "run_end", two) == calls["tell", "run_start", two]
    assert waits("tell", "run_start", one) is None
    assert waits("zother", "run_end", one) is None
    lease = kernel.claim("hook", n=500)
    kernel.fail(lease, only=[calls["tell", "run_start", one]])
    kernel.error(lease, only=[calls["tell", "run_start", two]])
    assert waits("tell", "run_end", one) is None  # it has ended, if badly
    (due_s,) = [call.ready_in_s for call in kernel.calls() if call.state == "delayed"]
    assert 0 < due_s - 0.5 < hooks.waits_for(kernel.session, calls["tell", "run_end", two])[1] <= due_s
    assert waits("tell", "run_end", two) == calls["tell", "run_start", two]


def test_whoever_dies_holding_a_call_gives_it_back(kernel):
    _, call = one_call(kernel)
    kernel.claim("hook", "A")
    kernel.bury("A")
    assert kernel.calls()[0].state in ("ready", "delayed")
    assert kernel.group_state(call.group_id).completed


def test_calls_are_held_back_by_a_pause_of_their_kind(kernel):
    from leasehold.kernel import pauses

    one_call(kernel)
    pauses.pause(kernel.session, "kind", "hook")
    assert kernel.lanes("hook") == []
    pauses.resume(kernel.session, "kind", "hook")
    assert [lane.group_id for lane in kernel.lanes("hook")] == [0]


def test_calls_are_counted_by_hook_and_state(kernel):
    group = kernel.group(hooks=[hook("run_end"), hook("group_end", name="zend")])
    kernel.add(group, 3)
    kernel.seal(group)
    assert not hooks.any_open(kernel.session)
    work(kernel, group)
    assert hooks.counts(kernel.session, [group]) == {"tell": {"ready": 3}, "zend": {"ready": 1}}
    assert hooks.any_open(kernel.session)
    lease = kernel.claim("hook", n=2)
    kernel.succeed(lease, only=[lease.steps[0][0]])
    kernel.error(lease, only=[lease.steps[1][0]])
    counted = hooks.counts(kernel.session)
    assert counted == {"tell": {"ready": 1, "succeeded": 1, "delayed": 1}, "zend": {"ready": 1}}
    assert hooks.under_way(counted) == 3
    assert hooks.counts(kernel.session, [group + 1]) == {}
