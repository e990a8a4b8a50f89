"""The command line as a user runs it: real processes, real signals, a real server; and the tools to hurt them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from leasehold.db.session import Session
from leasehold.db.target import Target

WORDS = (
    "lease claim token holder keeper heartbeat reaper seat limit worker consumer lane kind page batch item document",
    "collection workflow run group round step attempt outcome backoff event source bookmark artifact recipe",
)
VOCABULARY = [word for line in WORDS for word in line.split()]


def until(holds: Callable[[], Any], what: str, within_s: float = 30.0) -> Any:
    """Wait for a condition in other processes; its value when it is true."""
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        value = holds()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s: {what}")


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.out)
        assert body["schema_version"] == 1
        return body


@dataclass
class Cli:
    """`leasehold` against one database. `environment` holds what is set beside it."""

    url: str | None
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
        if self.url is not None:
            kept["LEASEHOLD_DATABASE_URL"] = self.url
        return kept | self.environment

    def start(self, *args: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, so that a test can hurt all of it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "leasehold", *map(str, args)],
            env=self._environment() | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def wait(self, process: subprocess.Popen[str], timeout_s: float = 90.0) -> Answer:
        out, err = process.communicate(timeout=timeout_s)
        assert "Traceback" not in err, err
        return Answer(process.returncode, out, err)

    def run(self, *args: str | Path, timeout_s: float = 90.0, **environment: str) -> Answer:
        return self.wait(self.start(*args, **environment), timeout_s)

    def stop_all(self) -> None:
        for process in self.started:
            if process.poll() is None:
                for number in (signal.SIGCONT, signal.SIGKILL):
                    os.killpg(process.pid, number)
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def cli(database: str) -> Iterator[Cli]:
    """The command line on a database of its own, with leases that lapse after 2 s."""
    made = Cli(database, {"LEASEHOLD_LEASE_TTL_S": "2", "LEASEHOLD_LEASE_HEARTBEAT_S": "0.4"})
    yield made
    made.stop_all()


@pytest.fixture
def look(database: str) -> Iterator[Session]:
    """A session of the test's own, to look and to check."""
    with Session(Target(url=database), application_name="test") as session:
        yield session


def write_notes(folder: Path, n: int, *, seed: int = 1, words: int = 120) -> Path:
    """*n* different small text files, the same for the same seed."""
    rng = random.Random(seed)
    for number in range(n):
        path = folder / f"{number % 40:02d}" / f"note{number:05d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        body = "\n".join(" ".join(rng.choices(VOCABULARY, k=12)) for _ in range(words // 12))
        path.write_text(f"# Note {number}\n\n{body}\n")
        os.utime(path, ns=(1_700_000_000_123_456_789 + number, 1_700_000_000_123_456_789 + number))
    return folder


def children_of(pid: int) -> list[int]:
    """Worker children of a leasehold process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(stat[1]) == pid and b"leasehold.worker.child" in command and stat[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.fixture
def poisoned(tmp_path: Path) -> dict[str, str]:
    """An environment in which reading a file that says POISON kills the process, and each reading is logged.

    LEASEHOLD_TEST_SLOW_S makes each reading take that long, or each of a file with LEASEHOLD_TEST_SLOW_WORD in it.
    """
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import hashlib, os, signal, time\n"
        "from leasehold.steps import reading\n"
        "real = reading.read\n"
        "def read(data, *, media_type, name):\n"
        "    with open(os.environ.get('LEASEHOLD_TEST_READS', os.devnull), 'a') as log:\n"
        "        log.write(hashlib.sha256(data).hexdigest() + '\\n')\n"
        "    if os.environ.get('LEASEHOLD_TEST_SLOW_WORD', '').encode() in data:\n"
        "        time.sleep(float(os.environ.get('LEASEHOLD_TEST_SLOW_S', '0')))\n"
        "    if b'POISON' in data:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(data, media_type=media_type, name=name)\n"
        "reading.read = read\n"
    )
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "LEASEHOLD_TEST_READS": str(tmp_path / "reads.log")}
