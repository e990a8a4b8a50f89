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
