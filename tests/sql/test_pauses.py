"""Pauses hold back what waits, of one kind, source or group, until their time; and say by whom and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leasehold.errors import NotFound, UsageError
from leasehold.kernel import pauses, why
from leasehold.testing.stories import drain

THINGS = ["kind", "source", "group"]


def two(kernel):
    """Two groups that differ in kind, source and number: the one to be paused, and the one that must go on."""
    one, other = kernel.group("a", source="s"), kernel.group("b", source="t")
    for group in (one, other):
        kernel.add(group, 1)
        kernel.seal(group)
    return {"kind": "a", "source": "s", "group": str(one)}


def offered(kernel):
    return [lane.kind for lane in kernel.lanes("a", "b")]


@pytest.mark.parametrize("what", THINGS)
def test_what_is_paused_is_not_offered_and_everything_else_is(kernel, what):
    name = two(kernel)[what]
    assert pauses.pause(kernel.session, what, name) is None
    assert offered(kernel) == ["b"]
    assert pauses.resume(kernel.session, what, name)
    assert offered(kernel) == ["a", "b"]
    assert not pauses.resume(kernel.session, what, name)


@pytest.mark.parametrize("what", THINGS)
def test_a_pause_holds_for_groups_that_come_later(kernel, what):
    name = two(kernel)[what]
    pauses.pause(kernel.session, what, name)
    kernel.add(kernel.group("a", source="s"), 1)
    assert offered(kernel) == (["b", "a"] if what == "group" else ["b"])


def test_a_pause_ends_by_itself_at_its_time(kernel, clock):
    kernel.add_step("a")
    pauses.pause(kernel.session, "kind", "a", for_s=60)
    clock.advance(59)
    assert offered(kernel) == []
    assert [one.name for one in pauses.current(kernel.session)] == ["a"]
    clock.advance(2)
    assert offered(kernel) == ["a"]
    assert pauses.current(kernel.session) == []
    assert not pauses.resume(kernel.session, "kind", "a")


def test_a_pause_until_a_time_and_a_second_word_that_moves_it(kernel, clock):
    kernel.add_step("a")
    now = kernel.session.fetch("select leasehold.now()")[0][0]
    end = now + timedelta(hours=1)
    assert pauses.pause(kernel.session, "kind", "a", until=end) == end
    assert pauses.pause(kernel.session, "kind", "a", for_s=10) == now + timedelta(seconds=10)
    clock.advance(11)
    assert offered(kernel) == ["a"]


def test_what_is_leased_goes_on_to_its_end_and_its_successor_waits(kernel):
    (run,) = kernel.add_runs(1, "a", "b")
    lease = kernel.claim("a")
    pauses.pause(kernel.session, "group", str(kernel.group_of(run * 1024)))
    assert kernel.succeed(lease) == ["accepted"]
    assert kernel.states(run) == ["succeeded", "ready"]
    assert offered(kernel) == []


def test_a_paused_group_can_be_cancelled_and_completes(kernel):
    group = kernel.group("a")
    kernel.add(group, 2)
    pauses.pause(kernel.session, "group", str(group))
    kernel.cancel(group)
    kernel.sweep()
    kernel.check()
    assert kernel.group_state(group).outcome == "cancelled"


def test_why_says_until_when_by_whom_why_and_how_to_go_on(kernel, clock):
    kernel.holder()
    step = kernel.add_step("a", source="s")
    pauses.pause(kernel.session, "source", "s", for_s=90, by="ann@host", why="provider is down")
    said = why.sentence(why.step_facts(kernel.session, step))
    assert said.endswith(
        "is ready, but source s is paused for another 90 s by ann@host (provider is down): leasehold source resume s."
    )
    pauses.pause(kernel.session, "kind", "a", by="bob@host")
    assert "kind a is paused until it is resumed by bob@host: leasehold kind resume a." in why.sentence(
        why.step_facts(kernel.session, step)
    )


def test_pausing_and_resuming_are_told_as_events(kernel):
    group = kernel.group("a")
    pauses.pause(kernel.session, "group", str(group), by="ann", why="later")
    pauses.pause(kernel.session, "kind", "a", by="ann")
    pauses.resume(kernel.session, "group", str(group), by="bob")
    told = kernel.session.fetch(
        "select name, group_id, data ->> 'what', data ->> 'by' from leasehold.event where name like '%%ed' "
        "order by event_id"
    )
    assert told == [
        ("paused", group, "group", "ann"),
        ("paused", None, "kind", "ann"),
        ("resumed", group, "group", "bob"),
    ]


def test_what_cannot_be_paused_is_refused(kernel):
    for wrong in (
        {"what": "lane", "name": "1"},
        {"what": "kind", "name": ""},
        {"what": "kind", "name": "a", "for_s": 0},
        {"what": "kind", "name": "a", "for_s": 1, "until": datetime.now(UTC)},
        {"what": "kind", "name": "a", "until": datetime(2030, 1, 1)},
        {"what": "kind", "name": "a", "until": datetime(2020, 1, 1, tzinfo=UTC)},
    ):
        with pytest.raises(UsageError):
            pauses.pause(kernel.session, **wrong)
    with pytest.raises(NotFound):
        pauses.pause(kernel.session, "group", "999")
    assert pauses.current(kernel.session) == []


def test_a_claim_that_was_on_its_way_may_still_take_and_the_next_look_finds_nothing(kernel):
    """A pause is an operator's wish, not a lock: it stops looks, and a claim follows a look."""
    kernel.add_step("a")
    (lane,) = kernel.lanes("a")
    pauses.pause(kernel.session, "kind", "a")
    assert kernel.claim_lanes([lane.lane_id])
    assert drain(kernel, "a") == 0


def test_where_the_steps_of_each_kind_stand(kernel):
    kernel.add_runs(5, "a", "b")
    lease = kernel.claim("a", n=3)
    kernel.succeed(lease, [lease.steps[0][0]])
    kernel.snooze(lease, 60, [lease.steps[1][0]])
    assert [(one.kind, one.ready, one.delayed, one.leased) for one in pauses.kinds(kernel.session)] == [
        ("a", 2, 1, 1),
        ("b", 1, 0, 0),
    ]
