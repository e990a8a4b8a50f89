"""Hosts: processes that work, each in a process group of its own, so that all of it can be stopped, killed and ended.

A host that has ended is started again, as an init system would. One that is stopped is not touched until it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Host:
    """One process with its children. `command` is what it runs, `said` one line for its standard input (or none)."""

    def __init__(
        self, name: str, command: Sequence[str], environment: dict[str, str], log: Path, said: dict[str, Any] | None
    ) -> None:
        self.name = name
        self.starts = 0
        self.stopped_until_s = 0.0
        self._command, self._environment, self._log, self._said = command, environment, log, said
        self._process: subprocess.Popen[bytes] | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        out = self._log.with_suffix(".out").open("wb")
        with out, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.PIPE, stdout=out, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        self.stopped_until_s = 0.0
        if self._said is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(json.dumps(self._said).encode() + b"\n")
                self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def code(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._process.poll() if self._process is not None else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def stopped(self) -> bool:
        return self.stopped_until_s > 0

    @property
    def last_words(self) -> str:
        """The end of what it said on standard error."""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines() if self._log.exists() else []
        return " | ".join(lines[-3:])[-500:]

    @property
    def output(self) -> str:
        return self._log.with_suffix(".out").read_text("utf-8", "replace")

    # -- misery -------------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """kill -9 of the keeper alone: its children must end by themselves, nobody gives their steps back."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)

    def kill_child(self, choose: Any) -> int | None:
        """kill -9 of one worker process; its pid, or None if there is none."""
        children = self.children()
        if not children:
            return None
        pid: int = choose(children)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self, for_s: float) -> None:
        self._signal(signal.SIGSTOP)
        self.stopped_until_s = time.monotonic() + for_s

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self.stopped_until_s = 0.0

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ask it to end; it must be waited for."""
        if self.alive:
            self.go_on()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end_now(self) -> None:
        """The whole group, and wait."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def children(self) -> list[int]:
        """Its living worker processes."""
        return worker_children(self.pid) if self.alive else []


def worker_children(pid: int) -> list[int]:
    """Worker processes whose parent is *pid*, from the process table."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=False)
    found = []
    for line in table.stdout.splitlines():
        child, parent, state, *args = line.split(None, 3)
        if int(parent) == pid and not state.startswith("Z") and args and "leasehold.worker.child" in args[0]:
            found.append(int(child))
    return sorted(found)


def environment(url: str, ttl_s: float, faults: str) -> dict[str, str]:
    """What the lab's processes see: nothing of the user's Leasehold settings but the lab's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
    kept |= {
        "LEASEHOLD_DATABASE_URL": url,
        "LEASEHOLD_LEASE_TTL_S": f"{ttl_s:g}",
        "LEASEHOLD_LEASE_HEARTBEAT_S": f"{ttl_s / 5:g}",
    }
    return kept | ({"LEASEHOLD_FAULTS": faults} if faults else {})


def worker_host(name: str, url: str, ttl_s: float, faults: str, log: Path) -> Host:
    """A keeper with one child that works the synthetic workload."""
    said = {"url": url, "name": name, "lease": {"ttl_s": ttl_s, "heartbeat_s": ttl_s / 5}, "log_level": "WARNING"}
    command = [sys.executable, "-P", "-m", "leasehold.chaos.host", str(os.getpid())]
    return Host(name, command, environment(url, ttl_s, faults), log, said)


def command_host(name: str, arguments: Sequence[str], url: str, ttl_s: float, faults: str, log: Path) -> Host:
    """A `leasehold` command."""
    command = [sys.executable, "-P", "-m", "leasehold.chaos.tether", str(os.getpid()), *arguments]
    return Host(name, command, environment(url, ttl_s, faults), log, None)
