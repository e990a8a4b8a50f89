"""One lock order: holder, leases by token, seats, runs, blocked steps, run outcomes, group. Nobody waits in a circle.

The sessions here meet on purpose: pages that span groups, forks whose siblings are in different hands, failures and
retries and cancels in the middle, each in another order. A session would survive a deadlock by sending its verb again,
so the server's own count is what is asserted.
"""

from __future__ import annotations

import random

import psycopg
import pytest

from leasehold.kernel import groups, holders, steps
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import End
from leasehold.testing.races import Race, deadlocks, together

FORK = [
    WorkflowStep("a", (1, 2, 3), attempts_max=2, backoff_s=0, backoff_max_s=0),
    *(WorkflowStep(kind, (4,), attempts_max=2, backoff_s=0, backoff_max_s=0) for kind in "bcd"),
    WorkflowStep("e", attempts_max=2, backoff_s=0, backoff_max_s=0),
]
KINDS = "abcde"


def shuffled_work(kernel, name, seed, turns):
    """A worker that claims pages over many lanes, and finishes them in any order and in any way."""

    def work(session):
        draw = random.Random(seed)
        mine = kernel.on(session)
        held: list[tuple[int, int]] = []
        for turn in range(turns):
            lanes = [lane.lane_id for lane in mine.lanes(*KINDS)]
            draw.shuffle(lanes)
            for lease in mine.claim_lanes(lanes[:6], name, draw.choice([1, 3, 8])):
                held += [(lease.token, step) for step, _ in lease.steps]
            draw.shuffle(held)
            page, held = held[: len(held) * 2 // 3 + 1], held[len(held) * 2 // 3 + 1 :]
            ends = [
                End(token, step, ended, reason="r", delay_s=0 if ended in ("error", "snoozed") else None)
                for token, step in page
                for ended in draw.choices(["succeeded", "error", "failed", "snoozed"], [20, 2, 1, 1])
            ]
            steps.finish_all(session, ends)
            if held and turn % 5 == 0:
                steps.release(session, [held.pop()])
        mine.leave(name)

    return work


def meddle(seed, group_ids, turns):
    """Keepers' and operators' duties, all the time."""

    def work(session):
        draw = random.Random(seed)
        victims = list(group_ids[-3:])
        for turn in range(turns):
            groups.retry(session, draw.choice(group_ids[:-3]))
            steps.promote(session)
            groups.fold_all(session)
            if turn % 12 == 6 and victims:
                groups.cancel(session, victims.pop())
            groups.sweep_cancelled(session, limit=5)
            holders.expire_leases(session)

    return work


@pytest.mark.parametrize("seed", [1, 2])
def test_pages_over_many_groups_in_any_order_with_failures_cancels_and_retries_do_not_deadlock(database, kernel, seed):
    group_ids = [kernel.group(steps=FORK, label=str(i)) for i in range(10)]
    for group in group_ids:
        kernel.add(group, 12)
        kernel.seal(group)
    names = [f"worker {i}" for i in range(5)]
    for name in names:
        kernel.holder(name)

    together(
        database,
        [shuffled_work(kernel, name, seed * 100 + i, 25) for i, name in enumerate(names)]
        + [meddle(seed * 100 + 50 + i, group_ids, 30) for i in range(2)],
    )

    assert deadlocks(database) == 0
    kernel.check()


def test_two_pages_with_success_and_failure_of_two_runs_crosswise_do_not_deadlock(database, kernel):
    """A: run 2 goes on, run 1 fails. B: run 1 goes on, run 2 fails. Both take both joins, in one order.

    Method: X holds the join of run 1. B comes to it first, then A. With successes before failures A would hold the join
    of run 2 by then, and B would get the one of run 1 and ask for the other.
    """
    one, two = kernel.add_runs(2, steps=FORK)
    kernel.succeed(kernel.claim("a", n=2))
    b, c = kernel.claim("b", by="A", n=2), kernel.claim("c", by="B", n=2)
    d = kernel.claim("d", by="X")
    a_page = [End(b.token, two * 1024 + 1, "succeeded"), End(b.token, one * 1024 + 1, "failed")]
    b_page = [End(c.token, one * 1024 + 2, "succeeded"), End(c.token, two * 1024 + 2, "failed")]
    with Race(database) as race:
        race.begin("X")
        race.do("X", lambda connection: kernel.within(connection).succeed(d))
        race.start("B", lambda connection: steps.finish(connection, b_page)).waits()
        race.start("A", lambda connection: steps.finish(connection, a_page)).waits()
        race.commit("X")
        race.result("A"), race.result("B")
    assert deadlocks(database) == 0
    assert [kernel.run_end(run) for run in (one, two)] == ["failed", "failed"]


def test_a_sweep_over_two_groups_and_a_page_over_the_same_two_do_not_deadlock(database, kernel):
    """The later group has the earlier runs: going group by group would lock them in the wrong order.

    Method: C holds the lowest join; B's page waits there, in order; the sweep comes to it from the other group.
    """
    first, second = kernel.group(steps=FORK), kernel.group(steps=FORK)
    kernel.add(second, 3)
    kernel.add(first, 3)
    leases = kernel.claim_lanes([lane.lane_id for lane in kernel.lanes("a")], n=3)
    kernel.finish_pairs([(lease.token, step) for lease in leases for step, _ in lease.steps])
    lowest = kernel.claim_lanes([lane.lane_id for lane in kernel.lanes("c")][1:], "C", n=1)[0]
    held = kernel.claim_lanes([lane.lane_id for lane in kernel.lanes("b")], "B", n=3)
    page = [End(lease.token, step, "succeeded") for lease in held for step, _ in lease.steps]
    kernel.cancel(first), kernel.cancel(second)
    with Race(database) as race:
        race.begin("C")
        race.do("C", lambda connection: kernel.within(connection).succeed(lowest))
        race.start("B", lambda connection: steps.finish(connection, page)).waits()
        race.start("sweeper", lambda connection: groups.sweep_cancelled(kernel.within(connection).session)).waits()
        race.commit("C")
        assert race.result("B") == ["accepted"] * 6
        race.result("sweeper")
    assert deadlocks(database) == 0
    kernel.sweep()


def test_a_finish_and_a_claim_in_one_transaction_would_deadlock_with_the_end_of_their_holder(database, kernel):
    """Why the worker never does that: a claim locks its holder first, and the finish before it has locked leases.

    Method: A has finished, uncommitted; its keeper buries it, which locks the holder and waits for the lease; A claims.
    """
    kernel.add_runs(4, "work")
    lease = kernel.claim("work", by="A", n=2)
    lane = kernel.lanes("work")[0].lane_id
    number = kernel.claim_nos[kernel.holder("A")] + 1
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda connection: kernel.within(connection).succeed(lease))
        burying = race.start("keeper", lambda connection: kernel.within(connection).bury("A")).waits()
        claiming = race.start(
            "A", lambda connection: kernel.within(connection).claim_lanes([lane], "A", claim_no=number)
        )
        outcomes = [type(error) for error in (_error(claiming), _error(burying)) if error is not None]
        assert outcomes == [psycopg.errors.DeadlockDetected]
        race.rollback("A")
    assert deadlocks(database) == 1


def _error(started):
    try:
        started.result()
    except psycopg.Error as error:
        return error
    return None
