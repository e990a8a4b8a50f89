"""A contender's processes, seen from the bench: start them, let them go together, stop them, and take their account.

Invariant: what a drain reports has been worked, each item once. The workers' own counts are added up item by item, and
where all of it was drained the database is asked as well; any difference ends the bench with `Wrong`.

A process that does not answer in time, or ends early, ends the bench with what it said.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ANSWER_S = 60.0


class Wrong(Exception):
    """Items were lost or worked twice, or a contender broke: no figure of this run is worth anything."""


class Script:
    """One contender on one database."""

    def __init__(self, command: list[str], environment: dict[str, str], form: str) -> None:
        self._command = command
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PG", "LEASEHOLD_"))
        }
        self._environment |= environment | {"BENCH_FORM": form}

    def run(self, *args: object) -> dict[str, Any]:
        """One command to its end; the last object it said, {} if none."""
        done = subprocess.run(
            [*self._command, *map(str, args)], env=self._environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=900,
        )  # fmt: skip
        if done.returncode:
            raise Wrong(f"{' '.join(map(str, args))} ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}

    def worker(self, kind: str, consumers: int, items: int) -> WorkerProcess:
        return WorkerProcess([*self._command, "work", kind, str(consumers), str(items)], self._environment)


class WorkerProcess:
    """`said` is the newest of its lines, as one object."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        self.said: dict[str, Any] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self.said = self.said | json.loads(line)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Wrong(f"a worker ended early: {self.errors()}") from None

    def alive(self) -> None:
        if self._process.poll() is not None and "seen" not in self.said:
            raise Wrong(f"a worker ended with {self._process.returncode}: {self.errors()}")

    def account(self) -> dict[str, Any]:
        """After `stop`: what it did."""
        self._reader.join(ANSWER_S)
        if "seen" not in self.said:
            raise Wrong(f"a worker did not stop in {ANSWER_S:.0f} s: {self.errors()}")
        self._process.wait(ANSWER_S)
        return self.said

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode(errors="replace")

    def end(self) -> None:
        """Whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._errors.close()


@dataclass
class Account:
    """What the workers of one measurement did together."""

    items: int
    seconds: float
    all_done: bool
    seen: bytearray
    waits_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    rss_mb: float = 0.0

    @property
    def rate(self) -> float:
        return self.items / self.seconds

    @property
    def worked(self) -> int:
        return sum(1 for count in self.seen if count)


class Crew:
    """The workers of one measurement, as a context: whatever happens, none is left."""

    def __init__(self, script: Script, count: int, kind: str, consumers: int, items: int) -> None:
        self.items = items
        self.workers = [script.worker(kind, consumers, items) for _ in range(count)]

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()

    def go(self) -> None:
        """All at once, when all have started."""
        self.until(lambda: all("ready" in worker.said for worker in self.workers), "get ready")
        for worker in self.workers:
            worker.tell("go")

    @property
    def done(self) -> int:
        return sum(worker.said.get("done", 0) for worker in self.workers)

    def until(self, so: Callable[[], bool], what: str, within_s: float = ANSWER_S) -> None:
        give_up_at = time.monotonic() + within_s
        while not so():
            for worker in self.workers:
                worker.alive()
            if time.monotonic() > give_up_at:
                raise Wrong(f"the workers did not {what} in {within_s:.0f} s, {self.done:,} items done: "
                            f"{self.workers[0].errors()}")  # fmt: skip
            time.sleep(0.002)

    def drain(self, left: Callable[[], int], *, window_s: float | None = None) -> Account:
        """From the first item's start until the database has none left, or until the window is over."""
        self.until(lambda: self.done > 0, "begin")
        if window_s is None:
            self.until(lambda: self.done >= self.items, "finish", 600)
            self.until(lambda: left() == 0, "record all ends")
        else:
            over_at = time.monotonic() + window_s
            self.until(lambda: self.done >= self.items or time.monotonic() > over_at, "finish", window_s + 60)
        ended_s, done = time.time(), self.done
        started_s = min(worker.said["first_s"] for worker in self.workers if worker.said.get("first_s"))
        account = self.stop(Account(done, ended_s - started_s, window_s is None, bytearray(self.items)))
        check(account, left())
        return account

    def stop(self, account: Account) -> Account:
        for worker in self.workers:
            worker.tell("stop")
        for told in [worker.account() for worker in self.workers]:
            seen = base64.b64decode(told["seen"])
            account.seen = bytearray(min(255, a + b) for a, b in zip(account.seen, seen, strict=True))
            account.waits_ms += told["waits_ms"]
            account.cpu_s += told["cpu_s"]
            account.rss_mb = max(account.rss_mb, told["rss_mb"])
        return account


def check(account: Account, left: int) -> None:
    """Every item once; of a window, what was not worked still stands in the database."""
    items = len(account.seen)
    twice = sum(1 for count in account.seen if count > 1)
    if twice:
        raise Wrong(f"{twice:,} of {items:,} items were worked more than once")
    lost = items - account.worked - left
    if lost > 0:
        raise Wrong(f"{lost:,} of {items:,} items are neither worked nor waiting")
