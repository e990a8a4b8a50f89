"""The embedded server under an ingest: killed in the middle, and again while it recovers."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Cli, until, write_notes


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that an unprivileged server account can reach."""
    made = Path(tempfile.mkdtemp(prefix="leasehold-home-"))
    made.chmod(0o755)
    yield made
    Cli(None, {"LEASEHOLD_HOME": str(made)}).run("db", "down")
    shutil.rmtree(made)


@pytest.fixture
def own(home: Path) -> Iterator[Cli]:
    made = Cli(None, {"LEASEHOLD_HOME": str(home), "LEASEHOLD_LEASE_TTL_S": "4", "LEASEHOLD_LEASE_HEARTBEAT_S": "0.5"})
    yield made
    made.stop_all()


def server_pid(own: Cli) -> int:
    return int(own.run("db", "status", "--json").json["pid"] or 0)


def test_a_server_killed_twice_in_the_middle_of_an_ingest_costs_only_time(own, tmp_path):
    folder = write_notes(tmp_path / "notes", 800)
    assert own.run("db", "up").code == 0
    first = server_pid(own)
    ingest = own.start("ingest", folder, "--processes", "2", "--json")
    until(lambda: own.run("status", "--json").json["holders"], "workers have joined")

    os.kill(first, signal.SIGKILL)
    second = until(lambda: (pid := server_pid(own)) not in (0, first) and pid, "the server came back")
    os.kill(second, signal.SIGKILL)

    answer = own.wait(ingest, 120)
    assert answer.json["outcome"] == "complete", answer.out + answer.err
    proof = own.run("proof", "--json")
    assert proof.json["holds"], proof.out


def test_one_file_is_ingested_and_found_and_the_server_stops_when_told(own, tmp_path):
    note = tmp_path / "roof.md"
    note.write_text("# The roof\n\nWe decided on slate, because tiles crack in the frost.\n")
    assert own.run("ingest", note).code == 0
    found = own.run("search", "which material for the roof", "--json").json["answers"]
    assert found[0]["path"] == "roof.md"
    assert found[0]["line"] in (1, 3)
    assert own.run("search", "zzzz qqqq xxxx", "--in", "nowhere").code == 1
    assert own.run("db", "down").code == 0
    assert own.run("db", "status", "--json").json["running"] is False
    assert own.run("proof").code == 0, "the next command starts it again, and nothing is lost"
