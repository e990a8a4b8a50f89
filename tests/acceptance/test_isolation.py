"""A reader that crashes, hangs, grows, calls home or writes costs its own document, and nothing else notices."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from conftest import write_notes
from leasehold.kernel import checks

pytestmark = [
    pytest.mark.one_server,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a process's own memory"),
]

READER = """
import ctypes, os, socket, subprocess
from leasehold.types import Block, Parsed

class Reader:
    name, version, media_types = "vicious", 1, ("application/x-vicious",)
    extensions = {"vicious": "application/x-vicious"}

    def read(self, data, media_type, name):
        what = data.decode().strip()
        if what == "crash":
            ctypes.string_at(0)
        if what == "spin":
            while True:
                pass
        if what == "hang":
            ctypes.CDLL(None).pause()
        if what == "grow":
            bytearray(2 << 30)
        if what == "call home":
            socket.create_connection(("127.0.0.1", 9))
        if what == "write":
            open(os.environ["HOME"] + "/written-by-a-reader", "w")
        if what == "multiply":
            while True:
                os.fork()
        if what == "print":
            os.write(1, b"noise"); os.write(2, b"noise")
        return Parsed((Block(what, 1),))

reader = Reader()
"""


@pytest.fixture
def vicious(tmp_path: Path) -> dict[str, str]:
    """An environment in which a package is installed whose reader does what its file says."""
    site = tmp_path / "site"
    info = site / "vicious-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "vicious.py").write_text(READER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vicious\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[leasehold.readers]\nvicious = vicious:reader\n")
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    (tmp_path / "home").mkdir()
    return {
        "PYTHONPATH": os.pathsep.join(paths),
        "HOME": str(tmp_path / "home"),
        "LEASEHOLD_READERS_MEMORY_MB": "256",
        "LEASEHOLD_READERS_CPU_S": "0.2",
        "LEASEHOLD_READERS_TIMEOUT_S": "6",
    }


def test_each_way_to_do_harm_costs_one_document_with_its_reason_and_no_worker(cli, look, vicious, tmp_path):
    folder = write_notes(tmp_path / "notes", 20)
    for what in ("crash", "spin", "hang", "grow", "call home", "write", "multiply", "print", "be good"):
        (folder / f"{what.replace(' ', '-')}.vicious").write_text(what)
    answer = cli.run("ingest", folder, "--json", **vicious)
    assert answer.code == 1, answer.err
    found = {one["path"]: (one["reason"], one["detail"]) for one in answer.json["failures"]}
    assert found.pop("spin.vicious") in (
        ("over its time", "vicious: used more than 0.2 s of CPU time"),
        ("over its time", "vicious: took longer than 6 s"),  # on a machine that had no such CPU time to give
    )
    assert found == {
        "crash.vicious": ("reader crashed", "vicious: crashed (signal 11, SIGSEGV)"),
        "hang.vicious": ("over its time", "vicious: took longer than 6 s"),
        "grow.vicious": ("over its memory", "vicious: used more than 256 MB"),
        "call-home.vicious": ("reader failed", "vicious: PermissionError: [Errno 1] a reader may not open a socket"),
        "write.vicious": ("reader failed", "vicious: PermissionError: [Errno 1] a reader may not write a file"),
        "multiply.vicious": ("reader failed", "vicious: PermissionError: [Errno 1] a reader may not start a process"),
    }
    assert all(one["remedy"] for one in answer.json["failures"])
    assert answer.json["stored"] == 22
    assert answer.json["failed"] == {"over its memory": 1, "over its time": 2, "reader crashed": 1, "reader failed": 3}
    assert answer.json["redone"] == [], "no worker died"
    assert "noise" not in answer.out + answer.err
    ends = look.fetch(
        "select ended::text, count(*)::int from leasehold.outcome where ended in ('error', 'failed') group by 1"
    )
    assert ends == [("failed", 7)], "each was charged once, and nobody else"
    assert not (tmp_path / "home" / "written-by-a-reader").exists()
    assert cli.run("proof").code == 0
    assert checks.violations(look) == []
    shown = cli.run("status", "--failed", **vicious).out
    assert "over its memory" in shown
    assert "readers.memory_mb" in shown
