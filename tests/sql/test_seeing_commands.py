"""The commands that look at runs, steps, groups and workers, and what they tell them."""

from __future__ import annotations

import json

import pytest

from leasehold.cli.app import run
from leasehold.kernel import conditions, holders, pauses, seats
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.hooks import Hook

pytestmark = pytest.mark.one_server


@pytest.fixture
def call(database: str, capsys: pytest.CaptureFixture[str]):
    """Runs `leasehold …` on the test's database; (exit code, JSON)."""

    def go(*args: str) -> tuple[int, dict]:
        code = run([*args, "--json", "--database", database])
        return code, json.loads(capsys.readouterr().out)

    return go


@pytest.fixture
def said(database: str, capsys: pytest.CaptureFixture[str]):
    """Runs `leasehold …` on the test's database; what a person reads."""

    def go(*args: str) -> str:
        assert run([*args, "--database", database]) == 0
        return capsys.readouterr().out

    return go


# -- runs, groups and steps -------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_by_group_and_state(kernel, call, said):
    first, second = kernel.add_runs(2, "parse", label="books")
    (third,) = kernel.add_runs(1, "parse")
    kernel.fail(kernel.claim("parse"), only=[first * 1024])

    def listed(*args: str) -> list[tuple[int, str | None]]:
        return [(one["run_id"], one["ended"]) for one in call("run", "list", *args)[1]["runs"]]

    assert listed() == [(third, None), (second, None), (first, "failed")]
    assert listed("--group", str(kernel.group_of(first * 1024))) == [(second, None), (first, "failed")]
    assert listed("--state", "failed") == [(first, "failed")]
    assert listed("--state", "open", "--limit", "1") == [(third, None)]
    assert listed("--state", "cancelled") == []
    assert f"run {first} of group" in said("run", "list", "--state", "failed")
    assert call("run", "list", "--state", "lost")[0] == 2


def test_why_of_a_run_and_of_a_group_by_their_own_commands(kernel, call):
    (one,) = kernel.add_runs(1, "parse")
    assert call("run", "why", str(one))[1]["why"] == call("why", str(one))[1]["why"]
    group = kernel.group_of(one * 1024)
    assert call("group", "why", str(group))[1]["why"] == call("why", f"group:{group}")[1]["why"]
    assert [call(what, "why", "999")[0] for what in ("run", "group")] == [1, 1]
    assert call("why", "group:999")[0] == 1


def test_a_group_is_sealed_by_hand_and_then_completes(kernel, call, said):
    group = kernel.group("parse")
    kernel.add(group)
    kernel.succeed(kernel.claim("parse"))
    assert call("group", "seal", str(group))[1] | {"schema_version": 0} == {
        "schema_version": 0, "outcome": "complete", "group_id": group, "sealed": True, "completed": True,
    }  # fmt: skip
    assert not call("group", "seal", str(group))[1]["sealed"]
    assert "was sealed already" in said("group", "seal", str(group))
    assert call("group", "seal", "999")[0] == 1


@pytest.fixture
def failed(kernel) -> list[int]:
    """Steps of two groups that failed: two alike, one for another reason; and one of another kind."""
    first, second = kernel.add_runs(3, "parse"), kernel.add_runs(1, "embed")
    for reason, detail in (("down", "at 10.0.0.1"), ("down", "at 10.0.0.2"), ("bad", "")):
        kernel.finish(kernel.claim("parse"), "failed", reason=reason, detail=detail)
    kernel.fail(kernel.claim("embed"), "down")
    return [one * 1024 for one in [*first, *second]]


def test_failed_steps_are_requeued_by_name_reason_fingerprint_kind_and_group(kernel, call, failed):
    """Each after a preview that changes nothing."""
    alike = call("step", "requeue", "--reason", "down", "--kind", "parse", "--dry-run")[1]
    assert alike["reopened"] == 2
    fingerprint = alike["groups"][0]["fingerprint"]
    assert call("step", "requeue", "--all", "--dry-run")[1]["reopened"] == 4
    assert call("step", "requeue", "--reason", "down", "--dry-run")[1]["reopened"] == 3
    assert call("step", "requeue", "--group", str(kernel.group_of(failed[3])), "--dry-run")[1]["reopened"] == 1
    assert [kernel.state(one) for one in failed] == ["failed"] * 4

    name = f"{failed[2] >> 10}.0"
    assert call("step", "requeue", name)[1]["reopened"] == 1
    assert call("step", "requeue", "--fingerprint", fingerprint, "--kind", "parse")[1]["reopened"] == 2
    assert [kernel.state(one) for one in failed] == ["ready", "ready", "ready", "failed"]
    assert call("step", "requeue", "--all")[1]["reopened"] == 1
    assert call("step", "requeue", "--all")[1]["reopened"] == 0
    kernel.check()


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ([], 2, "which steps"),
        (["--all", "--kind", "parse"], 2, "which steps"),
        (["1.0", "--all"], 2, "which steps"),
        (["--reason", "dwon"], 2, "'dwon'; there are: 'bad', 'down'"),
        (["seventeen"], 2, "is no step"),
        (["999.0"], 1, "no step 999.0"),
    ],
)
def test_a_requeue_needs_to_be_told_which_steps(kernel, call, failed, args, code, says):
    answered, body = call("step", "requeue", *args)
    assert answered == code
    assert says in body["error"]["message"] + body["error"]["remedy"]
    assert [kernel.state(one) for one in failed] == ["failed"] * 4


def test_only_a_step_that_failed_can_be_requeued(kernel, call):
    one = kernel.add_step("parse")
    code, body = call("step", "requeue", f"{one >> 10}.0")
    assert code == 2
    assert "is ready, but no worker runs" in body["error"]["message"]


def test_a_step_is_shown_with_every_end_it_had(kernel, call, said):
    one = kernel.add_step("parse")
    kernel.error(kernel.claim("parse"), detail="a trace\nwith lines")
    name = f"{one >> 10}.0"
    shown = call("step", "show", name)[1]
    assert [end["ended"] for end in shown["outcomes"]] == ["error"]
    assert shown["steps"][0]["state"] == "delayed"
    assert "with lines" in said("step", "show", name)
    assert call("step", "show", "999.0")[0] == 1


# -- workers ----------------------------------------------------------------------------------------------------------


def test_workers_are_listed_and_told_to_drain_and_to_go_on(kernel, call, said):
    """Method: living holders, as other hosts would join them; what they are told is read from a heartbeat's answer."""
    first, second = kernel.holder("A"), kernel.holder("B")
    holders.serve(kernel.session, first, ["parse"])
    holders.serve(kernel.session, second, ["embed"])
    holders.join(kernel.session, kind="cli", name="no worker", ttl_s=30)

    def told() -> list[str | None]:
        answer = holders.heartbeat(kernel.session, [first, second])
        return [answer[one].drain for one in (first, second)]

    assert [one["holder_id"] for one in call("worker", "list")[1]["workers"]] == [first, second]
    assert [one["holder_id"] for one in call("worker", "list", "--kind", "embed")[1]["workers"]] == [second]
    assert call("worker", "drain", "--all", "--dry-run")[1]["workers"] == [first, second]
    assert told() == [None, None]
    assert call("worker", "drain", str(first))[1]["workers"] == [first]
    assert call("worker", "drain", str(first))[1]["workers"] == []
    assert call("worker", "drain", str(second), "--idle")[1]["drain"] == "idle"
    assert told() == ["end", "idle"]
    assert "drained by" in said("worker", "list")
    assert "then to end" in said("worker", "list")
    assert call("worker", "resume", "--all")[1]["workers"] == [first, second]
    assert told() == [None, None]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["drain"], 2, "which workers"),
        (["drain", "1", "--all"], 2, "which workers"),
        (["drain", "999"], 1, "no worker 999"),
        (["resume"], 2, "which workers"),
        (["--processes", "2", "list"], 2, "--processes stands before 'list'"),
    ],
)
def test_mistakes_about_workers_are_answered(kernel, call, args, code, says):
    answered, body = call("worker", *args)
    assert answered == code
    assert says in body["error"]["message"] + body["error"]["remedy"]


def test_kinds_say_how_many_workers_serve_them_and_groups_are_listed_by_source(kernel, call, said):
    kernel.add_runs(2, "ocr")
    holders.serve(kernel.session, kernel.holder("A"), ["parse"])
    (ocr,) = call("kind", "list")[1]["kinds"]
    assert (ocr["kind"], ocr["ready"], ocr["workers"]) == ("ocr", 2, 0)
    assert "ocr: 2 ready, 0 delayed, 0 leased; no worker serves it" in said("kind", "list")
    holders.serve(kernel.session, kernel.holder("B"), ["ocr"])
    assert call("kind", "list")[1]["kinds"][0]["workers"] == 1
    mine = kernel.group("ocr", source="mine")
    assert [one["group_id"] for one in call("group", "list", "--source", "mine")[1]["groups"]] == [mine]


# -- starved, blocked, slow, dead -------------------------------------------------------------------------------------


def test_status_tells_starved_blocked_slow_and_dead_apart(kernel, clock, call, said):
    """Method: one kind for each of the words, and one that is in none of them because it was claimed just now."""
    for kind in ("starving", "held", "slow", "dying", "fine"):
        kernel.add_runs(2, kind)
    pauses.pause(kernel.session, "kind", "held", by="ann")
    kernel.claim("dying", by="gone", n=2)
    kernel.claim("slow", by="B", n=2, deadline_s=60)
    holders.serve(kernel.session, kernel.holder("B"), ["slow", "fine"])
    clock.advance(29)
    kernel.heartbeat("B")
    found = {one["word"]: one for one in call("status")[1]["conditions"]}
    assert set(found) == {"blocked"}
    clock.advance(6)
    kernel.claim("fine", by="B", n=2)
    found = {one["word"]: one for one in call("status")[1]["conditions"]}
    assert {word: (one["kind"], one["steps"], one["age_s"], one["why"]) for word, one in found.items()} == {
        "dead": ("dying", 2, 35.0, "held by 1 worker not heard any more"),
        "starved": ("starving", 2, 35.0, "no worker knows this kind (1 run)"),
        "blocked": ("held", 2, 35.0, "kind held is paused by ann"),
        "slow": ("slow", 2, 35.0, "1 worker at it, more than half of the time used up"),
    }
    lines = said("status")
    assert "STARVED: 2 steps of starving, the oldest for 35 s: no worker knows this kind (1 run)" in lines
    assert "DEAD: 2 steps of dying" in lines


def test_a_kind_that_nobody_claims_is_starved_for_the_reason_that_is_true(kernel, clock, call):
    kernel.add_runs(1, "parse")
    clock.advance(60)

    def why() -> str:
        (one,) = call("status")[1]["conditions"]
        assert one["word"] == conditions.STARVED
        return str(one["why"])

    assert why() == "no worker runs"
    worker = kernel.holder("A", ttl_s=1000)
    holders.serve(kernel.session, worker, ["parse"])
    assert why() == "1 of 1 workers serve it, and are busy with other work"
    holders.drain(kernel.session, [worker], holders.IDLE)
    assert why() == "every worker that serves it is drained"


def test_what_status_calls_ready_is_what_a_look_would_offer_and_nothing_else(kernel, clock):
    """Method: a kind for each obstacle that there is, and two without; both answers are asked for, one after the other,
    as each obstacle comes and goes."""
    kinds = ("free", "paused", "source", "group", "limit", "full", "broken", "hook")

    def agree() -> set[str]:
        offered = {one.kind for one in kernel.lanes(*kinds) if not one.full and not one.probe}
        found = [one for one in conditions.standing(kernel.session) if one.state == "waiting"]
        assert {one.kind for one in found if not one.held_back} == offered
        assert {one.kind for one in found if one.held_back}.isdisjoint(offered)
        return offered

    kernel.seal(kernel.group("free", hooks=[Hook(name="tell", on=("group_end",), call="m:f")]))
    kernel.add_runs(1, "free")
    kernel.add_runs(1, "paused")
    kernel.add(kernel.group("source", source="mine"))
    group = kernel.group("group")
    kernel.add(group)
    kernel.add(kernel.group("limit", seats={"limit": "model:m"}))
    kernel.add_runs(2, "full")
    kernel.add_runs(4, steps=[WorkflowStep("broken", attempts_max=9, breaker_after=2)])
    assert agree() == set(kinds)

    paused = (("kind", "paused"), ("source", "mine"), ("group", str(group)), ("limit", "model:m"))
    for what, name in paused:
        pauses.pause(kernel.session, what, name)
        agree()
    seats.set_limit(kernel.session, "kind:full", 1)
    lease = kernel.claim("full")
    for _ in range(2):
        kernel.error(kernel.claim("broken"))
    assert agree() == {"free", "hook"}
    clock.advance(6)
    assert agree() == {"free", "hook"}  # the breaker may be probed now, and only that
    for what, name in paused:
        pauses.resume(kernel.session, what, name)
    kernel.succeed(lease)
    pauses.resume(kernel.session, "kind", "broken")
    assert agree() == set(kinds)
