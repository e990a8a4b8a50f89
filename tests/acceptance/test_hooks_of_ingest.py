"""Hooks of an ingest, as a user has them: tables in leasehold.toml and a module beside it."""

from __future__ import annotations

import pytest

from conftest import write_notes

pytestmark = pytest.mark.one_server

HOOKS = """
import pathlib, sys

def tell(call):
    with open("called", "a") as file:
        file.write(f"{call.hook} {call.event.name} {call.key}\\n")

def wrong(call):
    tell(call)
    if not pathlib.Path("mended").exists():
        raise ValueError("nobody is there")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a module, and notes in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_hooks.py").write_text(HOOKS)
    write_notes(tmp_path / "notes", 3, words=20)
    return tmp_path


def settings(place, *tables):
    (place / "leasehold.toml").write_text(
        "".join(
            f'[hooks.{name}]\non = {on}\ncall = "my_hooks:{name}"\nattempts_max = 2\nbackoff_s = 0.1\n'
            for name, on in tables
        )
    )


def called(place):
    return [line.split() for line in (place / "called").read_text().splitlines()] if (place / "called").exists() else []


def test_an_ingest_waits_for_its_hooks_and_says_what_failed(cli, place):
    settings(place, ("tell", ["group_end"]), ("wrong", ["run_end"]))
    answer = cli.run("ingest", "notes")
    assert answer.code == 1
    assert "hooks: tell called 1 time; wrong called 3 times, 3 failed" in answer.out
    assert answer.out.count("hook failed: ") == 3
    assert "leasehold hook retry --all" in answer.err
    assert cli.run("status", "--json").json["outcome"] == "complete"
    keys = {key for _, _, key in called(place)}
    assert len(keys) == 4
    assert len(called(place)) == 1 + 3 * 2

    (place / "mended").touch()
    assert cli.run("hook", "retry", "--hook", "wrong", "--json").json["calls"] == 3
    again = cli.run("ingest", "notes", "--json")
    assert (again.code, again.json["hooks"]) == (0, {"tell": {"succeeded": 1}, "wrong": {"succeeded": 3}})
    assert {key for _, _, key in called(place)} == keys


def test_an_ingest_that_does_not_wait_leaves_its_calls_to_the_next(cli, place):
    """And only to whoever waits: the first one answers at once, whatever becomes of them."""
    settings(place, ("wrong", ["group_end"]))
    (place / "mended").touch()
    assert cli.run("kind", "list").code in (0, 1)
    first = cli.run("ingest", "notes", "--no-wait-hooks", "--json")
    assert first.code == 0
    assert sum(first.json["hooks"]["wrong"].values()) == 1
    second = cli.run("ingest", "notes", "--json")
    assert second.code == 0
    assert [name for name, _, _ in called(place)] == ["wrong"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[hooks]\ntell = 1\n", "must be tables"),
        ('[hooks.tell]\non = ["group_end"]\ncalls = "m:f"\n', "Did you mean 'call'?"),
        ('[hooks.tell]\ncall = "m:f"\n', "has no 'on'"),
        ('[hooks.tell]\non = ["group_ended"]\ncall = "m:f"\n', "no event 'group_ended'"),
        ('[hooks.tell]\non = ["group_end"]\ncall = "m:f"\ntimeout_s = "long"\n', "must be a number"),
    ],
)
def test_a_hook_that_is_written_wrongly_is_refused_before_anything_is_done(cli, place, text, says):
    (place / "leasehold.toml").write_text(text)
    answer = cli.run("ingest", "notes")
    assert answer.code == 2
    assert says in answer.err
    assert "Traceback" not in answer.err
