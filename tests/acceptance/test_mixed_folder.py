"""A mixed folder, every format and oddity in it: ingested, killed, resumed, changed, re-read under other parameters,
and proven. What comes out is what an undisturbed ingest of the same files gives."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from conftest import Cli, until
from leasehold.db.session import Session
from mixed_folder import MixedFolder

pytestmark = pytest.mark.one_server

FILES = 200
SMALLER = "chunk.size=500"


def verdicts(answer: dict[str, Any]) -> dict[tuple[str, str], int]:
    """What an ingest's JSON says became of the files: (state, reason) -> number."""
    found = {("stored", ""): answer["stored"] + answer["unchanged"]}
    for state in ("skipped", "failed"):
        found |= {(state, reason): n for reason, n in answer[state].items()}
    return found


def test_a_mixed_folder_killed_resumed_changed_and_reread_ends_as_an_undisturbed_ingest_of_it(
    cli: Cli, look: Session, databases: Any, tmp_path: Any
) -> None:
    mixed = MixedFolder(tmp_path / "mixed").fill(FILES)
    process = cli.start("ingest", mixed.root, "--json")
    ended = "select count(*) from leasehold.item where verdict is not null"
    until(lambda: look.fetch(ended)[0][0] > FILES // 10, "some were stored", within_s=90)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    resumed = cli.run("ingest", mixed.root, "--json").json
    assert verdicts(resumed) == mixed.verdicts()
    assert resumed["seen"] == len(mixed.expected)

    counts = mixed.change()
    changed = cli.run("ingest", mixed.root, "--json").json
    assert {name: changed[name] for name in counts} == counts
    assert verdicts(changed) == mixed.verdicts()
    assert changed["computed"]["parse"] <= counts["new"] + counts["changed"]

    reread = cli.run("ingest", mixed.root, "--set", SMALLER, "--json").json
    assert reread["computed"].get("parse", 0) == 0
    assert verdicts(reread) == mixed.verdicts()
    proven = cli.run("proof", "--digest", "--json").json
    assert proven["holds"], proven
    failed = {path: state for path, state in mixed.expected.items() if state[0] == "failed"}
    assert {one["path"]: (one["state"], one["reason"]) for one in proven["failures"]} == failed
    assert all(one["remedy"] for one in proven["failures"])
    found = dict(look.fetch("select path, state from leasehold.item_state"))
    assert found == {path: state for path, (state, reason) in mixed.expected.items() if reason != "empty"}

    with databases.clone() as url:
        undisturbed = Cli(url, cli.environment)
        undisturbed.run("ingest", mixed.root, "--set", SMALLER)
        assert undisturbed.run("proof", "--digest", "--json").json["digests"] == proven["digests"]
        undisturbed.stop_all()
