"""Calling: `Sandbox.call` makes one call in a child, under its limits, and says how it ended.

Children are kept for the next call, because a new one costs some milliseconds and its first pages; one that has served
`calls_max` calls or has grown is ended. What one call leaves behind in a child may break the next: so a child that had
served others before it died proves nothing, and the call is made once more in a new one. Only that one's word counts.

Calls may come from any thread, each gets a child of its own. One lock orders what is said to the fork server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leasehold.errors import LeaseholdError
from leasehold.sandbox.channel import Ended, Message, receive, send

START_S = 60.0
"""For the fork server to import what it is told, on a machine that is busy."""
REPLY_S = 30.0
"""For a fork, and for the end of a child that was killed."""
IDLE_MAX = 4
GROWN_BYTES = 128 << 20
"""A child that holds more than this after a call is not kept."""
NEAR = 0.7
"""Of its memory: a child that crashed there was most probably refused more."""
PASSED_ON = ("PATH", "HOME", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LEASEHOLD_DEBUG")
"""Of the environment, with LANG, LC_* and PYTHON*: a child needs no addresses and no keys."""


class SandboxFailed(LeaseholdError):
    """The processes that read documents cannot be started."""

    code = "sandbox_failed"
    remedy = "Read the lines above; if the machine is out of processes or memory, use fewer workers."


class Died(Exception):
    """A call that did not answer. `how`: memory, cpu, time, crashed, killed, raised; *detail* is for people."""

    def __init__(self, how: str, detail: str) -> None:
        super().__init__(detail)
        self.how, self.detail = how, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    memory_max_bytes: int = 0
    """Of one child, beyond what it is born with; 0: no limit."""
    cpu_s: float = 60.0
    """CPU time of one call."""
    time_s: float = 90.0
    """One call, by the clock."""
    calls_max: int = 200
    """Then the child is ended, and whatever it has leaked with it."""


class Child:
    """A child as its caller sees it."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid, self.line, self.served = pid, line, 0


class Sandbox:
    """Calls of `function` ("module:name") in children.

    Args:
        modules: what the fork server imports beforehand; one that cannot be imported is passed over.
    """

    def __init__(self, function: str, limits: Limits, modules: Sequence[str] = ()) -> None:
        self.limits = limits
        self.forks = 0
        self.held: tuple[str, ...] = ()
        """The fences that the last child said it has; known after the first call."""
        self._function, self._modules = function, list(modules)
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._network: tuple[str, ...] = ()

    def call(self, request: dict[str, Any], files: Sequence[int] = ()) -> tuple[dict[str, Any], bytes | bytearray]:
        """The function's answer and its body. *files* are passed as descriptors; they stay the caller's.

        Raises:
            Died: there is no answer; the process that was to give it is gone.
            SandboxFailed: no child can be had.
        """
        child = self._take()
        again = child.served > 0
        try:
            return self._call(child, request, files)
        except Died as died:
            if not again or died.how in ("cpu", "time"):
                raise
        return self._call(self._fork(), request, files)

    def _call(self, child: Child, request: dict[str, Any], files: Sequence[int]) -> tuple[dict[str, Any], Any]:
        limits = self.limits
        until_s = time.monotonic() + limits.time_s
        told = {"request": request, "cpu_s": limits.cpu_s}
        try:
            child.line.settimeout(limits.time_s)
            send(child.line, told, files=files)
            said = receive(child.line, until_s=until_s)
        except TimeoutError:
            self._end(child)
            raise Died("time", f"took longer than {limits.time_s:g} s") from None
        except Ended:
            raise self._died(child, self._end(child)) from None
        except BaseException:
            self._end(child)
            raise
        for file in said.files:  # no child has any business to send some
            os.close(file)
        return self._answered(child, said)

    def _answered(self, child: Child, said: Message) -> tuple[dict[str, Any], bytes | bytearray]:
        header = said.header
        if "answer" in header:
            self.held = (*header["fences"], *self._network)
            child.served += 1
            self._give_back(child, int(header["bytes"]))
            return header["answer"], said.body
        self._end(child)
        if header.get("out_of_memory"):
            raise Died("memory", self._too_much())
        raise Died("raised", str(header.get("raised", "no answer")))

    def _died(self, child: Child, end: dict[str, float]) -> Died:
        """What became of a child that closed its socket without an answer."""
        status, limit = int(end["status"]), self.limits.memory_max_bytes
        if status == -signal.SIGXCPU:
            return Died("cpu", f"used more than {self.limits.cpu_s:g} s of CPU time")
        if limit and end["peak_bytes"] > limit * NEAR and status != 0:
            return Died("memory", self._too_much())
        if status == -signal.SIGKILL:  # not by us: the system, when it ran out of memory, or an operator
            return Died("killed", "killed (signal 9)")
        return Died("crashed", f"crashed ({_described(status)})")

    def _too_much(self) -> str:
        return f"used more than {self.limits.memory_max_bytes // 1_000_000} MB"

    # -- children -----------------------------------------------------------------------------------------------------

    def _take(self) -> Child:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._fork()

    def _give_back(self, child: Child, resident: int) -> None:
        if child.served < self.limits.calls_max and resident < GROWN_BYTES:
            with self._lock:
                if len(self._idle) < IDLE_MAX and self._control is not None:
                    self._idle.append(child)
                    return
        self._end(child)

    def _fork(self) -> Child:
        with self._lock:
            for attempt in (1, 2):
                mine, theirs = socket.socketpair()
                try:
                    said = self._ask({"do": "fork"}, theirs)
                except (Ended, TimeoutError, OSError) as error:
                    mine.close()
                    self._close()
                    if attempt == 2:
                        raise SandboxFailed(f"The processes that read documents cannot be started: {error}.") from error
                else:
                    self.forks += 1
                    return Child(int(said["pid"]), mine)
                finally:
                    theirs.close()
        raise AssertionError

    def _end(self, child: Child) -> dict[str, float]:
        """Have *child* ended, and how it has; as killed when its fork server is gone with it."""
        try:
            with self._lock:
                if self._control is not None:
                    said: dict[str, float] = self._ask({"do": "end", "pid": child.pid})
                    return said
        except (Ended, TimeoutError, OSError):
            with self._lock:
                self._close()
        finally:
            child.line.close()
        return {"status": -signal.SIGKILL, "peak_bytes": 0, "cpu_s": 0}

    # -- the fork server ----------------------------------------------------------------------------------------------

    def _ask(self, header: dict[str, Any], *files: socket.socket) -> dict[str, Any]:
        control = self._control or self._start()
        control.settimeout(REPLY_S)
        send(control, header, files=[one.fileno() for one in files])
        return receive(control, until_s=time.monotonic() + REPLY_S).header

    def _start(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "leasehold.sandbox.server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is not for it
                env={name: value for name, value in os.environ.items() if _is_passed_on(name)},
            )
        self._control = mine
        told = {"function": self._function, "modules": self._modules, "path": sys.path}
        send(mine, {**told, "memory_max_bytes": self.limits.memory_max_bytes})
        said = receive(mine, until_s=time.monotonic() + START_S).header
        self._network = ("network",) if said["network"] else ()
        return mine

    def _close(self) -> None:
        """End the fork server, and with it all its children. The lock is held."""
        idle, self._idle = self._idle, []
        for child in idle:
            child.line.close()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None:
            self._server.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(REPLY_S)
            self._server = None

    def close(self) -> None:
        """End every process of this sandbox; the next call starts new ones."""
        with self._lock:
            self._close()


def _is_passed_on(name: str) -> bool:
    return name in PASSED_ON or name == "LANG" or name.startswith(("LC_", "PYTHON"))


def _described(status: int) -> str:
    if status >= 0:
        return f"exit code {status}"
    with contextlib.suppress(ValueError):
        return f"signal {-status}, {signal.Signals(-status).name}"
    return f"signal {-status}"
