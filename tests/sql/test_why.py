"""Why something is where it is: one test for each reason, the state really brought about, the sentence read."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from leasehold.cli.why import find
from leasehold.kernel import bounds, groups, holders, pauses, seats
from leasehold.kernel import why as reasons
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import step_name
from leasehold.testing.stories import Kernel

pytestmark = pytest.mark.one_server


@pytest.fixture
def why(kernel: Kernel) -> Callable[[object], str]:
    """The one sentence that `leasehold why ID` says."""

    def ask(what: object) -> str:
        lines, facts = find(kernel.session, str(what))
        (said,) = [reasons.sentence(one) for one in facts] + lines
        return said

    return ask


def step(step_id: int) -> str:
    return step_name(step_id)


def serving(kernel: Kernel, *kinds: str, by: str = "A") -> int:
    """A living worker that serves *kinds*."""
    holders.serve(kernel.session, kernel.holder(by), kinds)
    return kernel.holder(by)


# -- ready ------------------------------------------------------------------------------------------------------------


def test_no_worker_runs(kernel, clock, why):
    one = kernel.add_step("parse")
    assert why(step(one)) == (
        f"step {step(one)} (parse) is ready, but no worker runs: start `leasehold worker`, or run the ingest again."
    )


def test_no_worker_knows_the_kind(kernel, clock, why):
    one = kernel.add_step("ocr")
    serving(kernel, "parse", "store")
    serving(kernel, "embed", by="B")
    assert why(step(one)) == (
        f"step {step(one)} (ocr) is ready, but no worker knows this kind: 2 workers run, and none of them serves 'ocr'."
    )
    serving(kernel, "ocr", by="C")
    assert "first in its lane; 1 worker runs" in why(step(one))


def test_every_worker_that_serves_the_kind_is_drained(kernel, clock, why):
    one = kernel.add_step("parse")
    worker = serving(kernel, "parse")
    serving(kernel, "embed", by="B")
    assert holders.drain(kernel.session, [worker], holders.IDLE, by="ann") == [worker]
    assert "every worker that serves 'parse' is drained and claims no more" in why(step(one))


def test_it_waits_its_turn_and_n_stand_before_it(kernel, clock, why):
    runs = kernel.add_runs(3, "parse")
    serving(kernel, "parse")
    clock.advance(7)
    assert why(runs[2]) == (f"step {runs[2]}.0 (parse) is ready, for 7 s, behind 2 others in its lane; 1 worker runs.")
    assert "is ready, for 7 s, first in its lane; 1 worker runs" in why(runs[0])


def test_a_limit_is_full_and_by_whom_since_when(kernel, clock, why):
    seats.set_limit(kernel.session, "kind:parse", 1)
    runs = kernel.add_runs(2, "parse")
    kernel.claim("parse")
    clock.advance(12)
    kernel.heartbeat("A")
    said = why(runs[1])
    assert re.fullmatch(
        rf"step {runs[1]}\.0 \(parse\) is ready, but kind:parse is held by worker A \(pid \d+\) for 12\.0 s: "
        r"leasehold lock why kind:parse\.", said,
    ), said  # fmt: skip


def test_a_seat_is_held_by_a_program_without_a_step(kernel, clock, why):
    group = kernel.group("store", seats={"store": "backup:nightly"})
    (run,) = kernel.add(group)
    me = holders.join(kernel.session, kind="cli", name="backup", ttl_s=30)
    assert seats.take(kernel.session, me, "backup:nightly").token
    clock.advance(3)
    assert "is ready, but backup:nightly is held by cli backup (pid " in why(run)
    assert ") for 3.0 s: leasehold lock why backup:nightly." in why(run)


@pytest.mark.parametrize("what", ["kind", "source", "group", "limit"])
def test_it_is_paused_until_when_by_whom_and_why(kernel, clock, why, what):
    group = kernel.group("parse", source="mine", seats={"parse": "model:m"})
    (run,) = kernel.add(group)
    name = {"kind": "parse", "source": "mine", "group": str(group), "limit": "model:m"}[what]
    pauses.pause(kernel.session, what, name, for_s=90, by="ann", why="provider is down")
    assert why(run) == (
        f"step {run}.0 (parse) is ready, but {what} {name} is paused for another 90 s by ann (provider is down): "
        f"leasehold {what} resume {name}."
    )


def test_the_breaker_of_its_kind_is_open(kernel, clock, why):
    runs = kernel.add_runs(4, steps=[WorkflowStep("embed", attempts_max=9, breaker_after=2)])
    for _ in range(2):
        kernel.error(kernel.claim("embed"), reason="HTTP 503")
    assert why(runs[3]) == (
        f"step {runs[3]}.0 (embed) is ready, but the breaker of kind embed is open, after 2 errors in a row with "
        "'HTTP 503'; one step is tried in 5 s: leasehold kind resume embed."
    )


def test_it_waits_for_a_worker_that_holds_nothing_else(kernel, clock, why):
    runs = kernel.add_runs(2, "parse")
    kernel.claim("parse", n=2)
    kernel.bury("A")
    serving(kernel, "parse", by="B")
    assert "waits for a worker that holds nothing else, because its last holder died with it" in why(runs[0])


# -- blocked, delayed, leased -----------------------------------------------------------------------------------------


def test_it_is_blocked_by_which_step(kernel, clock, why):
    (run,) = kernel.add_runs(1, "parse", "embed")
    assert why(f"{run}.1") == f"step {run}.1 (embed) is blocked: it waits for {run}.0 (parse, ready)."


def test_it_backs_off_after_which_attempt_and_error(kernel, clock, why):
    (run,) = kernel.add_runs(1, "embed", attempts_max=4)
    kernel.error(kernel.claim("embed"), reason="HTTP 503", detail="Traceback…\nat model.example: busy", delay_s=30)
    serving(kernel, "embed")
    assert why(run) == (
        f"step {run}.0 (embed) is delayed: attempt 1 of 4 ended with 'HTTP 503' (at model.example: busy); "
        "ready in 30.0 s."
    )
    clock.advance(29)
    kernel.heartbeat("A")
    clock.advance(2)
    assert "ready at the next look of any worker" in why(run)
    clock.advance(60)
    assert "ready as soon as a worker runs; none does" in why(run)


def test_it_snoozes_of_its_own_will(kernel, clock, why):
    (run,) = kernel.add_runs(1, "embed")
    kernel.snooze(kernel.claim("embed"), 45, reason="the index is being built")
    assert f"step {run}.0 (embed) is delayed: the index is being built; ready in 45.0 s" in why(run)


def test_it_runs_at_whom_since_when(kernel, clock, why):
    (run,) = kernel.add_runs(1, "parse")
    lease = kernel.claim("parse")
    clock.advance(4)
    said = why(run)
    assert re.fullmatch(
        rf"step {run}\.0 \(parse\) is leased by worker A \(pid \d+\) for 4\.0 s under token {lease.token}; "
        r"attempt 1 of 3; last heartbeat 4\.0 s ago\.", said,
    ), said  # fmt: skip


def test_its_holder_is_dead_and_nobody_has_looked_yet(kernel, clock, why):
    (run,) = kernel.add_runs(1, "parse")
    kernel.claim("parse")
    clock.advance(40)
    said = why(run)
    assert "was last heard 40 s ago and is dead: it goes back as soon as another worker looks; none runs." in said
    kernel.reap()
    assert "is delayed: attempt 1 of 3 ended with 'holder died'" in why(run)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (lambda kernel, lease: kernel.succeed(lease), r"succeeded at [-\d: ]+\."),
        (lambda kernel, lease: kernel.fail(lease, "encrypted"), r"failed at [-\d: ]+: encrypted\."),
        (
            lambda kernel, lease: kernel.cancel_runs(lease.steps[0][0] >> 10, by="ann"),
            r"cancelled at [-\d: ]+: cancelled by ann\.",
        ),
    ],
    ids=["succeeded", "failed", "cancelled"],
)
def test_it_has_ended_and_how(kernel, clock, why, end, says):
    (run,) = kernel.add_runs(1, "parse")
    end(kernel, kernel.claim("parse"))
    said = why(run)
    assert re.fullmatch(rf"step {run}\.0 \(parse\) {says}", said), said


# -- groups -----------------------------------------------------------------------------------------------------------


def test_a_group_that_is_not_sealed_says_so(kernel, clock, why):
    group = kernel.group("parse", label="books")
    kernel.add(group, 1)
    kernel.succeed(kernel.claim("parse"))
    assert why(f"group:{group}") == (
        f"group {group} (books) is open: 1 of 1 runs ended; it is not sealed, and it waits only for that: "
        f"leasehold group seal {group}."
    )
    kernel.seal(group)
    assert why(f"group:{group}") == f"group {group} (books) has succeeded: 1 of 1 runs ended."


def test_a_group_says_what_its_runs_wait_for(kernel, clock, why):
    group = kernel.group("parse", "embed")
    kernel.add(group, 5)
    kernel.seal(group)
    kernel.succeed(kernel.claim("parse"))
    kernel.error(kernel.claim("parse"), delay_s=30)
    kernel.claim("parse")
    pauses.pause(kernel.session, "kind", "embed", by="ann")
    assert why(f"group:{group}") == (
        f"group {group} is open: 0 of 5 runs ended; 1 embed step is held back, kind embed is paused by ann; "
        "1 parse step is delayed, the next for 30 s; 1 parse step is leased by 1 worker; 2 parse steps are ready."
    )


def test_a_bound_is_reached(kernel, clock, why):
    group = kernel.group("parse", source="mine")
    kernel.add(group, 2)
    bounds.bound(kernel.session, "source", "mine", 2)
    assert "source mine has 2 of at most 2 runs open, so more are refused until some end" in why(f"group:{group}")


def test_a_group_that_is_being_cancelled_and_one_that_was(kernel, clock, why):
    group = kernel.group("parse")
    kernel.add(group, 2)
    kernel.claim("parse")
    groups.cancel(kernel.session, group)
    assert f"group {group} was cancelled, and what is under way is being ended: 0 of 2 runs ended" in why(
        f"group:{group}"
    )
    kernel.sweep()
    kernel.fold(group)
    assert why(f"group:{group}") == f"group {group} was cancelled: 2 of 2 runs ended."


def test_a_group_that_failed_says_how_many(kernel, clock, why):
    group = kernel.group("parse")
    kernel.add(group, 2)
    kernel.seal(group)
    kernel.fail(kernel.claim("parse"))
    kernel.succeed(kernel.claim("parse"))
    kernel.fold(group)
    assert why(f"group:{group}") == f"group {group} has failed: 2 of 2 runs ended, 1 failed."
