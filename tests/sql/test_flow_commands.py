"""The commands over the flow of work: what they print and change, and what they refuse."""

from __future__ import annotations

import json

import pytest

from leasehold.cli.app import run


@pytest.fixture
def call(database: str, capsys: pytest.CaptureFixture[str]):
    """Runs `leasehold …` on the test's database; (exit code, JSON)."""

    def go(*args: str) -> tuple[int, dict]:
        code = run([*args, "--json", "--database", database])
        return code, json.loads(capsys.readouterr().out)

    return go


@pytest.mark.parametrize("what", ["kind", "source", "group"])
def test_pausing_and_resuming_on_the_command_line(kernel, call, what):
    group = kernel.group("parse", source="mine")
    kernel.add(group, 2)
    name = {"kind": "parse", "source": "mine", "group": str(group)}[what]

    assert call(what, "pause", name, "--for", "5m", "--why", "provider is down")[0] == 0
    assert kernel.lanes("parse") == []
    (paused,) = call("status")[1]["paused"]
    assert (paused["what"], paused["name"], paused["why"]) == (what, name, "provider is down")
    if what != "source":  # the list of sources has those of collections only
        listed = call(what, "list")[1][f"{what}s"]
        assert listed[0]["paused"]["why"] == "provider is down"
    assert call(what, "resume", name)[1]["resumed"]
    assert not call(what, "resume", name)[1]["resumed"]
    assert len(kernel.lanes("parse")) == 1


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["kind", "pause", "prase"], 1, "there are: parse"),
        (["kind", "pause", "parse", "--for", "soon"], 2, "no time"),
        (["kind", "pause", "parse", "--until", "tomorrow"], 2, "2030-01-31T18:00:00+01:00"),
        (["kind", "pause", "parse", "--until", "2030-01-31T18:00:00"], 2, "time zone"),
        (["kind", "pause", "parse", "--until", "2030-01-31T18:00:00+00:00", "--for", "1h"], 2, "one end"),
        (["source", "pause", "nowhere"], 1, "no source 'nowhere'"),
        (["group", "pause", "99"], 1, "no group 99"),
        (["group", "resume", "99"], 1, "no group 99"),
        (["group", "set", "99", "--weight", "2"], 1, "no group 99"),
        (["group", "set", "1"], 2, "what to set"),
        (["group", "set", "1", "--weight", "0"], 2, "starve"),
        (["group", "set", "1", "--priority", "99999"], 2, "between"),
    ],
)
def test_a_mistake_is_answered_with_what_was_expected(kernel, call, args, code, says):
    kernel.add_step("parse")
    answered, body = call(*args)
    assert answered == code
    assert says in json.dumps(body)
    assert kernel.lanes("parse")[0].weight == 1


def test_a_group_is_listed_with_its_state_and_can_be_given_other_turns(kernel, call):
    first, second = kernel.group("parse", label="one"), kernel.group("parse", label="two")
    kernel.add(first, 1)
    kernel.seal(second)
    assert [(one["group_id"], one["state"]) for one in call("group", "list")[1]["groups"]] == [(first, "open")]
    listed = call("group", "list", "--all")[1]["groups"]
    assert [(one["group_id"], one["state"]) for one in listed] == [(second, "succeeded"), (first, "open")]
    assert call("group", "set", str(first), "--weight", "3", "--priority", "5")[0] == 0
    assert [(lane.weight, lane.priority) for lane in kernel.lanes("parse")] == [(3, 5)]


def test_lists_for_people_name_what_is_paused_and_by_whom(kernel, database, capsys):
    group = kernel.group("parse", label="books")
    kernel.add(group, 3)
    for command in (["group", "pause", str(group), "--why", "later"], ["kind", "pause", "parse"], ["group", "list"],
                    ["kind", "list"], ["status"], ["source", "list"]):  # fmt: skip
        assert run([*command, "--database", database]) == 0
    said = capsys.readouterr().out
    assert f"group {group} is paused until it is resumed" in said
    assert f"group {group}: open: 0 of 3 runs ended: books; paused until it is resumed by" in said
    assert "(later)" in said
    assert "parse: 3 ready, 0 delayed, 0 leased; paused" in said
    assert "no sources yet" in said


# -- retry and cancel -------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(kernel) -> int:
    """A group with three runs that failed at one address or another, and one for another reason."""
    group = kernel.group("parse")
    kernel.add(group, 5)
    kernel.seal(group)
    for reason, detail in (("down", "at 10.0.0.1"), ("down", "at 10.0.0.2"), ("down", "no route"), ("bad", "")):
        kernel.finish(kernel.claim("parse"), "failed", reason=reason, detail=detail)
    kernel.succeed(kernel.claim("parse"))
    kernel.fold(group)
    return group


def test_a_group_shows_what_failed_alike_and_retries_just_that(kernel, call, failed):
    _, shown = call("group", "show", str(failed))
    assert shown["group"]["state"] == "failed"
    assert shown["steps"] == {"parse": {"failed": 4, "succeeded": 1}}
    assert [(one["reason"], one["runs"]) for one in shown["failures"]] == [("down", 2), ("bad", 1), ("down", 1)]
    alike = shown["failures"][0]["fingerprint"]

    assert call("group", "retry", str(failed), "--fingerprint", alike, "--dry-run")[1]["reopened"] == 2
    assert kernel.group_state(failed).completed
    assert call("group", "retry", str(failed), "--fingerprint", alike)[1]["reopened"] == 2
    assert call("group", "retry", str(failed), "--reason", "bad")[1]["reopened"] == 1
    assert call("group", "retry", str(failed), "--all")[1]["reopened"] == 1
    assert kernel.group_state(failed).failed == 0
    kernel.check()


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ([], "which of its failed runs"),
        (["--all", "--reason", "bad"], "which of its failed runs"),
        (["--reason", "dwon"], "'dwon'; there are: 'bad', 'down'"),
        (["--fingerprint", "0"], "fingerprint '0'; there are: "),
    ],
)
def test_a_retry_needs_a_filter_that_something_failed_for(kernel, call, failed, filters, says):
    code, body = call("group", "retry", str(failed), *filters)
    assert code == 2
    assert says in body["error"]["message"] + body["error"]["remedy"]
    assert kernel.group_state(failed).failed == 4


def test_retrying_what_failed_everywhere_names_the_reasons_there_are(kernel, call, failed):
    code, body = call("retry", "--failed", "--reason", "encrypted")
    assert code == 2
    assert "there are: none" in body["error"]["message"]  # of documents, which this group is none of


def test_a_group_is_cancelled_with_a_preview_and_again_does_nothing(kernel, call):
    group = kernel.group("parse", "store")
    runs = kernel.add(group, 3)
    lease = kernel.claim("parse")
    assert call("group", "cancel", str(group), "--dry-run")[1] | {"schema_version": 0} == {
        "schema_version": 0, "outcome": "complete", "group_id": group, "runs": 3, "dry_run": True, "completed": False,
    }  # fmt: skip
    assert kernel.run_end(runs[0]) is None
    answer = call("group", "cancel", str(group))[1]
    assert (answer["runs"], answer["completed"]) == (3, True)
    assert kernel.succeed(lease) == ["lost"]
    assert call("group", "cancel", str(group))[1]["runs"] == 0
    assert call("group", "cancel", "999")[0] == 1
    kernel.check()


# -- single runs ------------------------------------------------------------------------------------------------------


def test_single_runs_are_shown_put_off_cancelled_and_retried(kernel, call):
    first, second = kernel.add_runs(2, "parse", "store", label="books")
    assert call("run", "snooze", str(first), "--for", "5m", "--why", "later")[1]["steps"] == 1
    _, shown = call("run", "show", str(first))
    assert shown["run"]["label"] == "books"
    assert "put off by" in shown["why"][0]
    assert "(later); ready in" in shown["why"][0]
    assert call("run", "cancel", str(first), str(second), "--dry-run")[1]["cancelled"] == 2
    assert kernel.run_end(first) is None
    assert call("run", "cancel", str(first))[1]["cancelled"] == 1
    assert call("run", "cancel", str(first))[1]["cancelled"] == 0
    assert call("run", "retry", str(second))[0] == 2
    kernel.fail(kernel.claim("parse"))
    assert call("run", "retry", str(second))[1]["reopened"] == 1
    assert [one["ended"] for one in call("run", "show", str(second))[1]["outcomes"]] == [
        "failed", "cancelled", "reopened", "reopened",
    ]  # fmt: skip
    kernel.check()


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["run", "show", "99"], 1, "no run 99"),
        (["run", "cancel"], 2, "RUN"),
        (["run", "cancel", "99"], 1, "no run 99"),
        (["run", "retry", "1"], 2, "under way"),
        (["run", "snooze", "1"], 2, "--for"),
        (["run", "snooze", "1", "--for", "0"], 2, "no time"),
        (["run", "show", "x"], 2, "x"),
    ],
)
def test_mistakes_about_runs_are_answered(kernel, call, args, code, says):
    kernel.session.fetch("select setval('leasehold.run_seq', 1, false)")
    kernel.add_runs(1)
    answered, body = call(*args)
    assert answered == code
    assert says in json.dumps(body)


def test_a_run_is_shown_to_people(kernel, database, capsys):
    (run_id,) = kernel.add_runs(1, "parse", label="books")
    kernel.error(kernel.claim("parse"))
    assert run(["run", "show", str(run_id), "--database", database]) == 0
    said = capsys.readouterr().out
    assert f"run {run_id} of group" in said
    assert 'item: {"n": 0}' in said
    assert "parse, attempt 1: error: flaky" in said


def test_a_queue_is_bounded_on_the_command_line(kernel, call):
    group = kernel.group("parse", source="mine")
    kernel.add(group, 2)
    for what, name in (("kind", "parse"), ("source", "mine"), ("group", str(group))):
        assert call(what, "bound", name, "--runs", "10")[1]["runs_max"] == 10
        (shown,) = call("status")[1]["bounds"]
        assert (shown["what"], shown["name"], shown["runs_open"]) == (what, name, 2)
        assert call(what, "bound", name)[0] == call(what, "bound", name, "--runs", "1", "--none")[0] == 2
        assert call(what, "bound", name, "--runs", "0")[0] == 2
        assert call(what, "bound", name, "--none")[1]["runs_max"] is None
    assert call("status")[1]["bounds"] == []
    assert call("kind", "bound", "prase", "--runs", "1")[0] == 1
