"""`leasehold hook …`: what it prints of calls, which it makes again, and what it refuses."""

from __future__ import annotations

import json

import pytest

from leasehold.cli.app import run
from leasehold.kernel.hooks import Hook


@pytest.fixture
def call(database, capsys):
    def go(*args):
        code = run([*args, "--json", "--database", database])
        return code, json.loads(capsys.readouterr().out)

    return go


def story(kernel):
    """Two groups; of the calls for the first one has failed, one has succeeded; for the second one waits."""
    hooks = [
        Hook(name="tell", on=("group_end",), call="m:f", attempts_max=1),
        Hook(name="note", on=("run_end",), call="m:f"),
    ]
    groups = []
    for _ in range(2):
        group = kernel.group(hooks=hooks)
        kernel.add(group, 1)
        kernel.seal(group)
        kernel.succeed(kernel.claim())
        kernel.fold(group)
        groups.append(group)
    for lane in kernel.lanes("hook"):
        (lease,) = kernel.claim_lanes([lane.lane_id], items=True)
        if lease.items[0]["hook"] == "tell":
            kernel.error(lease, reason="ValueError", detail="a trace\nValueError: nobody is there\n")
        else:
            kernel.succeed(lease)
    return groups


def test_calls_are_listed_by_group_hook_and_state(kernel, call, database, capsys):
    first, second = story(kernel)
    listed = call("hook", "list")[1]
    assert [(one["hook"], one["group_id"], one["state"]) for one in listed["calls"]] == [
        ("note", first, "succeeded"), ("tell", first, "failed"), ("note", second, "ready"), ("tell", second, "ready"),
    ]  # fmt: skip
    assert listed["hooks"] == {"note": {"succeeded": 1, "ready": 1}, "tell": {"failed": 1, "ready": 1}}
    assert [one["hook"] for one in call("hook", "list", "--group", str(second))[1]["calls"]] == ["note", "tell"]
    (failed,) = call("hook", "list", "--state", "failed", "--hook", "tell")[1]["calls"]
    assert (failed["event"], failed["attempts"], failed["reason"]) == ("group_end", 1, "ValueError")

    assert run(["hook", "list", "--state", "failed", "--database", database]) == 0
    line, total, *_ = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{failed['name']} tell for group_end of group {first}: failed, 1 attempt at ")
    assert line.endswith(": ValueError: nobody is there")
    assert total == "note: 1 ready, 1 succeeded"


def test_calls_that_failed_are_made_again_and_no_others(kernel, call):
    _, second = story(kernel)
    assert call("hook", "retry", "--all", "--dry-run")[1]["calls"] == 1
    assert call("hook", "retry", "--group", str(second))[1]["calls"] == 0
    assert call("hook", "retry", "--hook", "note")[1]["calls"] == 0
    (failed,) = [one for one in kernel.calls() if one.state == "failed"]
    assert call("hook", "retry", failed.name)[1]["calls"] == 1
    assert call("hook", "retry", "--all")[1]["calls"] == 0
    (lease,) = kernel.claim_lanes([lane.lane_id for lane in kernel.lanes("hook")][1:], n=2)
    assert failed.step_id in [step for step, _ in lease.steps]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["hook", "retry"], 2, "which calls"),
        (["hook", "retry", "--all", "--hook", "tell"], 2, "which calls"),
        (["hook", "retry", "tell"], 2, "names no call"),
        (["hook", "retry", "999.0"], 1, "no call 999.0"),
        (["hook", "list", "--state", "broken"], 2, "never 'broken'"),
        (["hook", "list", "--group", "99"], 1, "no group 99"),
    ],
)
def test_a_mistake_is_answered_with_what_was_expected(kernel, call, args, code, says):
    story(kernel)
    answered, body = call(*args)
    assert answered == code
    assert says in body["error"]["message"] + body["error"]["remedy"]


def test_a_call_says_why_it_waits_and_status_counts_it(kernel, call):
    story(kernel)
    (waiting,) = [one for one in kernel.calls("note") if one.state == "ready"]
    said = call("why", waiting.name)
    assert said[0] == 0
    assert "(hook)" in json.dumps(said[1])
    assert {"kind": "hook", "ready": 2}.items() <= next(
        one for one in call("kind", "list")[1]["kinds"] if one["kind"] == "hook"
    ).items()
