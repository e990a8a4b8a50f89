"""What a worker's processes log about a step says which: run, step and token, whatever kind of function wrote it."""

from __future__ import annotations

import json
import os

import pytest
from worker_help import HERE, SHORT, ended, eventually, submit

from leasehold.db.target import Target
from leasehold.logs import JSON
from leasehold.worker.keeper import Keeper, KeeperConfig

pytestmark = pytest.mark.one_server


def test_every_line_of_a_step_names_its_run_step_and_token(database, kernel, monkeypatch, capfd):
    """Method: kinds of each sort write a line while they work; the children's standard error is read as JSON."""
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    steps = {kind: submit(kernel, [{}, {}], kind) for kind in ("plain", "paged", "speaking")}
    failing = submit(kernel, [{"ends": "fail"}], "counted")
    config = KeeperConfig(target=Target(url=database), kinds="counted_work:kinds", processes=1, consumers={"*": 2},
                          lease=SHORT, poll_max_s=0.2, log_level="DEBUG", log_format=JSON)  # fmt: skip
    keeper = Keeper(config)
    keeper.start()
    try:
        eventually(lambda: ended(kernel, failing + [one for several in steps.values() for one in several]))
    finally:
        keeper.stop(5.0)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]

    def told(message: str) -> list[tuple[int, int]]:
        """(step id, token) of the lines that say so."""
        found = [one for one in lines if one["message"].startswith(message)]
        assert all(one["run"] == int(one["step"].split(".")[0]) for one in found)
        return sorted((one["run"] * 1024 + int(one["step"].split(".")[1]), one["token"]) for one in found)

    tokens = {step: token for step, (_, token) in kernel.all_states().items()}
    for message, kind in (("at work in a thread", "plain"), ("at work on a page", "paged"),
                          ("at work in a task", "speaking"), ("at work beside it", "speaking")):  # fmt: skip
        assert told(message) == [(step, tokens[step]) for step in steps[kind]], message
    assert told("a 'counted' step erred, attempt 1: broken") == [(failing[0], tokens[failing[0]])]
    before = [one for one in lines if one["message"] == "before any step"]
    assert {one["token"] for one in before} == {tokens[step] for step in steps["paged"]}
    assert not [one for one in before if "step" in one]
