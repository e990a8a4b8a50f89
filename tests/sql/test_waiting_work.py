"""What a worker says it could claim is what a look offers: two statements, one meaning."""

from __future__ import annotations

import pytest

from leasehold.kernel import groups, pauses, seats, silences

KEY = "rag:/data/kb"


def story(kernel):
    """A group behind a lock, of a source; and another group that nothing ever holds back."""
    workflow = groups.register(kernel.session, "test", groups.chain("work"))
    group, _ = groups.open_group(kernel.session, workflow, seats={"work": KEY}, source="s")
    kernel.add(group, 2)
    kernel.add_runs(1, "other")
    return group


def nothing(kernel, group):
    pass


def paused_kind(kernel, group):
    pauses.pause(kernel.session, "kind", "work")


def paused_source(kernel, group):
    pauses.pause(kernel.session, "source", "s")


def paused_group(kernel, group):
    pauses.pause(kernel.session, "group", str(group))


def paused_limit(kernel, group):
    pauses.pause(kernel.session, "limit", KEY)


def lock_taken(kernel, group):
    seats.take(kernel.session, kernel.holder("cli"), KEY, wait=False)


def limit_full(kernel, group):
    kernel.claim("other", by="B")
    kernel.add_runs(1, "other")
    seats.set_limit(kernel.session, "kind:other", 0)


def all_claimed(kernel, group):
    kernel.claim(n=2)


def group_complete(kernel, group):
    kernel.seal(group)
    kernel.succeed(kernel.claim(n=2))
    kernel.fold(group)


def cancelled(kernel, group):
    kernel.cancel(group)
    kernel.sweep()


@pytest.mark.parametrize(
    "act",
    [nothing, paused_kind, paused_source, paused_group, paused_limit, lock_taken, limit_full, all_claimed,
     group_complete, cancelled],
)  # fmt: skip
def test_what_waits_without_an_obstacle_is_exactly_what_a_look_offers(kernel, act):
    group = story(kernel)
    act(kernel, group)
    offered = {lane.kind for lane in kernel.lanes("work", "other") if not lane.full}
    free = {one.kind for one in silences.waiting(kernel.session) if not one.held_back}
    assert free == offered
    held = {one.kind for one in silences.waiting(kernel.session) if one.held_back}
    assert held == {"work"} if act.__name__ in ("paused_kind", "paused_source", "paused_group", "paused_limit",
                                               "lock_taken") else held <= {"other"}  # fmt: skip
