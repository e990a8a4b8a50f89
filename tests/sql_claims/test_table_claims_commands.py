"""The commands over claims: what they print, what they refuse to do by default, and that `sql` connects to nothing."""

from __future__ import annotations

import json

import pytest
from table_of_thoughts import Table

from leasehold.cli.app import run

DESCRIBED = ["--table", "public.thoughts", "--id", "id", "--id-type", "uuid", "--name", "thought"]


@pytest.fixture
def call(bare: Table, capsys: pytest.CaptureFixture[str]):
    """Runs `leasehold claims …` on the table's database; (exit code, JSON)."""

    def go(*args: str) -> tuple[int, dict]:
        code = run(["claims", *args, "--json", "--database", bare.url])
        return code, json.loads(capsys.readouterr().out)

    return go


def test_sql_prints_the_script_without_a_database(capsys: pytest.CaptureFixture[str]):
    assert run(["claims", "sql", *DESCRIBED, "--database", "postgresql://nobody@127.0.0.1:1/none"]) == 0
    assert "create or replace function public.claim_thoughts(" in capsys.readouterr().out


def test_the_way_of_an_operator(bare: Table, call):
    """Install twice, see who holds what, take it away, free what failed, remove all."""
    ids = bare.add(6)
    assert [call("install", *DESCRIBED)[0] for _ in range(2)] == [0, 0]
    bare.claim(ids[:4])
    bare.release(ids[0], "failed", error="no good", final=True)
    _, status = call("status", "--name", "thought")
    assert status["progress"][0] | {"per_minute": 0, "eta_s": 0} == {
        "work_type": "w", "done": 0, "failed": 1, "held": 3, "waiting": 2, "per_minute": 0, "eta_s": 0,
    }  # fmt: skip
    assert status["holders"][0]["claims"] == 3
    assert 0 < status["holders"][0]["expires_in_s"] <= 60
    _, failed = call("list", "--name", "thought", "--state", "failed")
    assert [(one["id"], one["last_error"]) for one in failed["claims"]] == [(str(ids[0]), "no good")]
    _, preview = call("release", "--name", "thought", "--all", "--dry-run")
    assert (preview["released"], len(preview["claims"])) == (3, 3)
    assert call("list", "--name", "thought", "--state", "held")[1]["total"] == 3
    assert call("release", "--name", "thought", "--worker", "somebody")[1]["released"] == 0
    assert call("release", "--name", "thought", "--expired")[1]["released"] == 0
    assert call("release", "--name", "thought", "--id", str(ids[1]))[1]["released"] == 1
    assert call("release", "--name", "thought", "--all")[1]["released"] == 2
    assert call("retry", "--name", "thought", "--work-type", "w")[1]["freed"] == 1
    assert [r[0] for r in bare.next(worker="b")] == ids
    assert call("uninstall", "--name", "thought")[1] == {
        "schema_version": 1, "outcome": "complete", "table": 'public."thoughts"', "claims": 6, "removed": False,
    }  # fmt: skip
    assert call("uninstall", "--name", "thought", "--yes")[0] == 0
    assert call("status", "--name", "thought")[0] == 1


@pytest.mark.parametrize("verb", ["release", "retry"])
def test_nothing_bulk_happens_without_a_word(call, verb: str):
    call("install", *DESCRIBED)
    assert call(verb, "--name", "thought")[0] == 2
    assert call(verb, "--name", "thought", "--all", "--work-type", "w")[0] == 2


def test_a_table_that_does_not_fit_is_a_usage_error_with_a_remedy(call):
    code, body = call("install", *DESCRIBED[:-2], "--name", "thought", "--content-column", "nothing")
    assert (code, body["error"]["code"]) == (2, "usage")
    assert body["error"]["remedy"] == "Correct --content-column."
