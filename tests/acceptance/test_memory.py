"""A document that asks for more memory than a worker may have fails alone, with that reason; the machine is spared."""

from __future__ import annotations

import os
import sys

import pytest

from conftest import write_notes

pytestmark = [
    pytest.mark.one_server,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a process's own memory"),
]


@pytest.fixture
def greedy(tmp_path) -> dict[str, str]:
    """An environment in which reading a file that says HUGE asks for 600 MB."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from leasehold.steps import reading\n"
        "real = reading.read\n"
        "def read(data, **rest):\n"
        "    whole = bytearray(600_000_000) if b'HUGE' in data else None\n"
        "    return real(data, **rest)\n"
        "reading.read = read\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])}


def test_a_document_over_the_memory_fails_alone_and_its_neighbours_are_stored(cli, look, greedy, tmp_path):
    folder = write_notes(tmp_path / "notes", 30)
    (folder / "huge.md").write_text("HUGE\n")
    answer = cli.run("ingest", folder, "--json", **greedy, LEASEHOLD_INGEST_MEMORY_MB="300")
    assert answer.code == 1, answer.err
    assert answer.json["failed"] == {"over its memory": 1}
    assert answer.json["stored"] == 30
    assert answer.json["failures"][0]["path"] == "huge.md"
    assert "ingest.memory_mb" in answer.json["failures"][0]["remedy"]
    assert look.fetch("select count(*)::int from leasehold.outcome where ended = 'error'") == [(2,)]


def test_without_a_limit_and_with_enough_it_is_read(cli, greedy, tmp_path):
    folder = write_notes(tmp_path / "notes", 1)
    (folder / "huge.md").write_text("HUGE\n")
    assert cli.run("ingest", folder, **greedy, LEASEHOLD_INGEST_MEMORY_MB="1500").code == 0
    (folder / "more.md").write_text("HUGE again\n")
    assert cli.run("ingest", folder, **greedy, LEASEHOLD_INGEST_MEMORY_MB="0").code == 0


def test_a_limit_in_which_no_worker_could_live_is_refused(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 1)
    answer = cli.run("ingest", folder, LEASEHOLD_INGEST_MEMORY_MB="20")
    assert (answer.code, "ingest.memory_mb=20" in answer.err) == (2, True)
