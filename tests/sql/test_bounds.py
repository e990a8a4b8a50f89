"""Bounds: a queue that is full refuses more, with nothing half added, and counts what is open without leaking."""

from __future__ import annotations

from contextlib import suppress

import pytest

from leasehold.errors import NotFound, PageTooLarge, QueueFull, UsageError
from leasehold.kernel import bounds, groups
from leasehold.testing.races import Race, together
from leasehold.testing.stories import drain


def bound(kernel, what, name, runs_max):
    bounds.bound(kernel.session, what, name, runs_max, by="ann")


def tables(kernel):
    return [kernel.counted(name) for name in ("run", "step", "ready", "group_span", "event")]


@pytest.mark.parametrize("what", ["kind", "source", "group"])
def test_what_is_full_refuses_more_and_takes_it_again_when_some_have_ended(kernel, what):
    group, other = kernel.group("work", source="s"), kernel.group("other", source="t")
    bound(kernel, what, {"kind": "work", "source": "s", "group": str(group)}[what], 5)
    kernel.add(group, 3)
    before = tables(kernel)

    with pytest.raises(QueueFull, match="has 3 runs open and takes 5 at most, so 3 more do not fit") as told:
        kernel.add(group, 3)

    assert (told.value.code, told.value.retryable, told.value.http_status) == ("queue_full", True, 429)
    assert tables(kernel) == before
    assert kernel.group_state(group).added == 3
    kernel.add(group, 2)
    kernel.add(other, 100)  # nobody else's queue
    lease = kernel.claim("work", n=3)
    with pytest.raises(QueueFull):
        kernel.add(group, 1)  # what runs is open too
    kernel.succeed(lease)
    kernel.add(group, 3)  # counted at once, before anything is folded
    assert [(one.runs_max, one.runs_open) for one in bounds.current(kernel.session)] == [(5, 5)]
    kernel.check()


def test_counts_do_not_leak_across_sources_or_through_failures_cancels_and_retries(kernel):
    bound(kernel, "source", "s", 4)
    one, two, other = (kernel.group("work", source=name) for name in ("s", "s", "t"))
    kernel.add(other, 50)
    kernel.add(one, 2)
    kernel.add(two, 2)
    with pytest.raises(QueueFull):
        kernel.add(one, 1)
    kernel.cancel(two)
    kernel.sweep()
    first = kernel.add(one, 2)
    kernel.cancel_runs(first[0])
    kernel.fail(next(iter(kernel.claim_lanes([kernel.lanes("work")[0].lane_id], n=1))))
    assert [one.runs_open for one in bounds.current(kernel.session)] == [2]
    kernel.retry(one)
    assert [one.runs_open for one in bounds.current(kernel.session)] == [3]
    kernel.seal(one)
    drain(kernel, "work")
    kernel.fold(one)
    assert [one.runs_open for one in bounds.current(kernel.session)] == [0]
    kernel.add(one, 4)  # a group that was complete counts only what is added
    with pytest.raises(QueueFull):
        kernel.add(one, 1)
    kernel.check()


def test_a_page_that_is_known_is_not_counted_again(kernel):
    group = kernel.group("work")
    bound(kernel, "group", str(group), 3)
    first = kernel.session.run(lambda c: groups.add(c, group, [1, 2, 3], page="one"))
    assert kernel.session.run(lambda c: groups.add(c, group, [1, 2, 3], page="one")) == first


def test_two_adds_at_once_do_not_both_take_the_last_place(database, kernel):
    """Method: different groups of one source; the second add waits for the first and then finds the queue full."""
    bound(kernel, "source", "s", 1)
    one, two = kernel.group("work", source="s"), kernel.group("work", source="s")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: kernel.within(c).add(one, 1))
        race.start("B", lambda c: kernel.within(c).add(two, 1)).waits()
        race.commit("A")
        with pytest.raises(Exception, match="has 1 runs open"):
            race.result("B")
    assert [found.runs_open for found in bounds.current(kernel.session)] == [1]


def test_eight_submitters_of_one_source_never_exceed_its_bound(database, kernel):
    bound(kernel, "source", "s", 20)
    ids = [kernel.group("work", source="s") for _ in range(8)]

    def submit(session, group):
        added = 0
        for _ in range(10):
            with suppress(QueueFull):
                added += len(kernel.on(session).add(group, 1))
        return added

    assert sum(together(database, [lambda s, g=g: submit(s, g) for g in ids])) == 20
    assert [found.runs_open for found in bounds.current(kernel.session)] == [20]


def test_a_page_that_can_never_fit_is_a_mistake_and_not_to_be_tried_again(kernel):
    group = kernel.group("work")
    bound(kernel, "group", str(group), 3)
    with pytest.raises(PageTooLarge, match="4 runs at once are more than") as told:
        kernel.add(group, 4)
    assert not told.value.retryable
    assert "raise the bound" in told.value.remedy


def test_a_bound_can_be_moved_and_taken_away_and_is_told_as_an_event(kernel):
    group = kernel.group("work")
    kernel.add(group, 5)
    bound(kernel, "kind", "work", 3)  # fewer than there are: they stay, and no more come
    with pytest.raises(QueueFull):
        kernel.add(group, 1)
    bound(kernel, "kind", "work", 6)
    kernel.add(group, 1)
    bound(kernel, "kind", "work", None)
    kernel.add(group, 10)
    told = kernel.session.fetch(
        "select data ->> 'runs_max' from leasehold.event where name = 'bounded' order by event_id"
    )
    assert told == [("3",), ("6",), (None,)]
    assert bounds.current(kernel.session) == []


def test_what_cannot_be_bounded_is_refused(kernel):
    for what, name, n in (("lane", "1", 1), ("kind", "", 1), ("kind", "work", 0)):
        with pytest.raises(UsageError):
            bound(kernel, what, name, n)
    with pytest.raises(NotFound):
        bound(kernel, "group", "999", 1)
