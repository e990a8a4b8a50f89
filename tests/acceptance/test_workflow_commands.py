"""`leasehold workflow` and `leasehold params` as processes: a folder of definitions, workers, and what is answered."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_server

STEPS = """
from dataclasses import dataclass
from leasehold import Context, Done, StepError, step

@dataclass(frozen=True)
class Cut:
    width: int = 3

@step(timeout_s=30)
def read(context):
    print("a word on standard output", flush=True)
    if context.item.get("bad"):
        raise StepError("bad item", remedy="Leave it out.")
    return context.item["text"]

@step(parameters=Cut, timeout_s=30)
def cut(context: Context[Cut]):
    return context.parent[: context.parameters.width]

@step(timeout_s=30)
async def count(context):
    return len(context.parent)

def told(call):
    if call.event.data.get("failed"):
        raise StepError("nobody there")

@step(timeout_s=30)
def join(context):
    return context.parents
"""
REPORT = """
id: report
steps:
  - method: wf_steps:read
  - {method: "wf_steps:cut", after: read}
  - {method: "wf_steps:count", after: read}
  - {method: "wf_steps:join", after: [cut, count]}
hooks:
  - {name: told, on: group_end, call: "wf_steps:told", attempts_max: 1}
"""


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "wf_steps.py").write_text(STEPS)
    (folder / "report.yaml").write_text(REPORT)
    (folder / "small.yaml").write_text("id: small\nworkflow: report\nparameters: {cut: {width: 1}}\n")
    return folder


def items(folder: Path, *values: object) -> Path:
    file = folder / "items.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in values))
    return file


def result(look, group_id: int) -> list[object]:
    """What the last steps of a group gave, in the order of its runs."""
    rows = look.fetch(
        "select r.result from leasehold.step_result r join leasehold.group_span s "
        "on r.step_id >> 10 between s.first_run and s.last_run where s.group_id = %s and r.step_id & 1023 = 3 "
        "order by r.step_id",
        (group_id,),
    )
    return [row[0] for row in rows]


def test_items_are_submitted_worked_and_answered(cli, look, flows, tmp_path):
    """A fork and a join in worker processes; one item fails."""
    file = items(tmp_path, {"text": "slate"}, {"text": "fog"}, {"bad": 1})
    done = cli.run("workflow", "run", "report", "--items", file, "--workflows", flows, "--work", "--processes", 2,
                   "--params", "small", "--json", "--debug")  # fmt: skip
    assert done.code == 1, done.err
    body = done.json
    assert (body["outcome"], body["group"]["succeeded"], body["group"]["failed"]) == ("failed", 2, 1)
    assert result(look, body["group"]["group_id"]) == [{"cut": "s", "count": 5}, {"cut": "f", "count": 3}]
    assert "a word on standard output" in done.err
    assert body["hooks"] == {"told": {"failed": 1}}, "it was waited for"

    (row,) = [one for one in cli.run("params", "list", "--workflows", flows, "--json").json["sets"] if one["stored"]]
    assert (row["name"], row["stored"]["groups"], row["digest"]) == ("small", 1, row["stored"]["digest"])
    assert cli.run("params", "delete", "report", "small", "--json").code == 0
    assert cli.run("params", "delete", "report", "small").code == 1
    assert cli.run("params", "delete", "report", "default").code == 2


def test_a_worker_elsewhere_works_what_is_submitted_and_a_key_submits_once(cli, look, flows, tmp_path):
    file = items(tmp_path, *({"text": f"text {n}"} for n in range(20)))
    worker = cli.start("worker", "--processes", 1, "--workflows", flows, "--consumers", "report.read=1,*=2")
    done = cli.run("workflow", "run", "report", "--items", file, "--workflows", flows, "--wait", "--timeout", "80s",
                   "--key", "monday", "--set", "cut.width=4")  # fmt: skip
    assert done.code == 0, done.err
    assert "20 succeeded, 0 failed" in done.out
    worker.send_signal(signal.SIGTERM)
    assert cli.wait(worker).code == 0
    again = cli.run("workflow", "run", "report", "--items", file, "--workflows", flows, "--key", "monday",
                    "--set", "cut.width=4")  # fmt: skip
    assert again.code == 1
    assert "it was worked already" in again.err.lower()
    assert look.fetch("select count(*) from leasehold.run_group") == [(1,)]


def test_a_wrong_definition_stops_commands_and_workers_with_all_mistakes(cli, flows, tmp_path):
    (flows / "report.yaml").write_text(REPORT.replace("wf_steps:cut", "wf_steps:cutt").replace("join", "jion"))
    checked = cli.run("workflow", "validate", "--workflows", flows)
    assert checked.code == 1
    assert "report.yaml:5: workflow 'report', step 'cutt': the method 'wf_steps:cutt' is not known" in checked.out
    assert checked.out.count("report.yaml:") == 3
    for command in (["worker"], ["workflow", "run", "report", "--items", items(tmp_path, {})]):
        answer = cli.run(*command, "--workflows", flows)
        assert answer.code == 2, answer
        assert answer.err.count("report.yaml:") == 3
        assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["workflow", "run", "reprot", "--items", "-"], 1, "did you mean 'report'"),
        (["workflow", "run", "report"], 2, "--items FILE"),
        (["workflow", "run", "report", "--items", "/nonexistent"], 2, "cannot be read"),
        (["workflow", "run", "report", "--items", "BAD"], 2, "BAD:2: this is no JSON"),
        (["workflow", "run", "report", "--items", "BAD", "--params", "smal"], 1, "did you mean 'small'"),
        (["workflow", "run", "report", "--items", "BAD", "--set", "cut.with=4"], 2, "did you mean 'width'"),
        (["workflow", "show", "nothing"], 1, "no workflow 'nothing'"),
        (["params", "diff", "report", "default", "tiny"], 1, "no parameter set 'tiny'"),
        (["worker", "--consumers", "report.red=2"], 2, "report.read"),
    ],
)
def test_a_mistake_is_answered_with_what_was_expected(cli, flows, tmp_path, args, code, says):
    bad = tmp_path / "BAD"
    bad.write_text('{"text": "a"}\n{"text":\n')
    answer = cli.run(*(str(bad) if one == "BAD" else one for one in args), "--workflows", flows)
    assert answer.code == code, answer
    assert says in answer.err
    assert "Traceback" not in answer.err


def test_a_dry_run_writes_nothing(cli, look, flows, tmp_path):
    file = items(tmp_path, {"text": "a"}, {"text": "b"})
    answer = cli.run("workflow", "run", "report", "--items", file, "--workflows", flows, "--dry-run", "--json")
    assert (answer.json["items"], answer.json["parameters"]) == (2, {"cut": {"width": 3}})
    for table in ("run_group", "parameter_set", "workflow"):
        assert look.fetch(f"select count(*) from leasehold.{table}") == [(0,)]


def test_files_become_items(cli, flows, tmp_path):
    (tmp_path / "texts" / "deep").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "deep/c.txt"):
        (tmp_path / "texts" / name).write_text("x")
    answer = cli.run(
        "workflow", "run", "report", "--files", tmp_path / "texts", "--workflows", flows, "--dry-run", "--json"
    )
    assert answer.json["items"] == 3
