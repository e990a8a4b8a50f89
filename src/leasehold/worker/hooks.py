"""Hooks as a worker runs them: each call in a runner, a process of its own, with the hook's own clock.

A call that hangs is killed when its time is up, with whatever it started; one that ends its process has failed. Either
is an error of that call, tried again as its hook says, and nothing else stands still for it. Calls of one hook for one
run are made in the order of their events: a later one waits until the earlier one has ended.

Under a keeper the kind `hook` is worked by a child that works nothing else, started when there is a first call.

What can fail: the runner may be idle and just ending when it is asked; another one is asked then. Not here: which calls
are to be made (`kernel.hooks`), what the runner does (`hook_runner`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from leasehold.db.target import Target
from leasehold.kernel import hooks
from leasehold.kernel.steps import step_name
from leasehold.types import ErrorClass, Outcome, Snooze, StepError, StepLease
from leasehold.worker.hook_runner import heard
from leasehold.worker.kinds import Kind, PageContext

FACTORY = "leasehold.worker.hooks:build"
CONSUMERS = 4
"""Calls at once in one keeper: they mostly wait for somebody's answer."""
LOOK_EVERY_S = 0.2
START_S = 60.0
"""A new process may take so long to begin; its call's time counts from then."""
TURN_S = 0.5
"""Until a call that has to wait for an earlier one is looked at again."""


class _NotBegun(Exception):
    """The runner was gone before it had begun."""


class Runner:
    """One process that makes calls, one at a time, for as long as it is `usable`."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "leasehold.worker.hook_runner", str(os.getpid()), *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # what a hook starts is killed with it, and a terminal's Ctrl-C is not its business
        )
        self._heard = b""
        self.usable = True

    def call(self, said: dict[str, Any], timeout_s: float, lost: Callable[[], bool]) -> Outcome:
        """Make one call.

        Raises:
            _NotBegun: another runner must be asked; nothing was called.
        """
        self._begin(said, lost)
        until_s = time.monotonic() + timeout_s
        answer = self._answer(until_s, lost)
        if answer is not None:
            return heard(answer)
        late = time.monotonic() >= until_s
        self.kill()
        if late:
            return StepError("timeout", f"it ran longer than {timeout_s:g} s", error_class=ErrorClass.TIMEOUT,
                             remedy="Raise the hook's timeout_s if it needs more.")  # fmt: skip
        if lost():
            return StepError("lost", "its lease was taken away", error_class=ErrorClass.TRANSIENT)
        code = self._process.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        return StepError("it ended its process", how, error_class=ErrorClass.TRANSIENT)

    def _begin(self, said: dict[str, Any], lost: Callable[[], bool]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(said).encode() + b"\n")
            begun = self._answer(time.monotonic() + START_S, lost)
        except OSError as error:
            raise _NotBegun from error
        if begun is None:
            raise _NotBegun

    def _answer(self, until_s: float, lost: Callable[[], bool]) -> Any:
        """The next line it says; None: it ended, its time is up, or nobody wants the answer any more."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._heard:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or lost():
                return None
            if select.select([pipe], [], [], min(left_s, LOOK_EVERY_S))[0]:
                if not (more := os.read(pipe, 65_536)):
                    return None
                self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)

    def kill(self) -> None:
        """End it, and whatever its calls have started."""
        self.usable = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Runners:
    """As many as there are calls at once; an idle one is used again."""

    def __init__(self, folders: Sequence[str] = ()) -> None:
        self._folders = folders
        self._idle: list[Runner] = []
        self._lock = threading.Lock()

    def call(self, said: dict[str, Any], timeout_s: float, lost: Callable[[], bool]) -> Outcome:
        """Make one call. An idle runner may just be ending, so then the next one is asked, and at last a new one."""
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            runner = kept or Runner(self._folders)
            try:
                outcome = runner.call(said, timeout_s, lost)
            except _NotBegun:
                runner.kill()
                if kept is None:
                    return StepError("no process for it", "its process did not begin", error_class=ErrorClass.TRANSIENT)
            except BaseException:
                runner.kill()
                raise
            else:
                if runner.usable:
                    with self._lock:
                        self._idle.append(runner)
                return outcome


def hook_kind(folders: Sequence[str] = ()) -> Kind:
    """The kind that makes calls of hooks, for a worker of your own; *folders* are searched for their modules.

    Give it consumers of its own, `consumers={"hook": 2, "*": 4}`, or calls and steps share them.
    """
    runners = Runners(folders)

    def work(context: PageContext, leases: Sequence[StepLease]) -> Iterator[tuple[int, Outcome, int]]:
        for index, lease in enumerate(leases):
            yield index, _make(context, lease, runners), 0

    return Kind(name=hooks.KIND, timeout_s=hooks.TIMEOUT_MAX_S + 60.0, run_page=work, page_max=1, apart=True)


def _make(context: PageContext, lease: StepLease, runners: Runners) -> Outcome:
    before = hooks.waits_for(context.session, lease.step_id)
    if before is not None:
        earlier, due_s = before
        return Snooze(max(TURN_S, due_s + TURN_S / 2), f"call {step_name(earlier)}, for an earlier event, goes first")
    said = {**lease.item, "attempt": lease.attempt}
    return runners.call(said, float(said["timeout_s"]), context.lost)


def build(target: Target, options: dict[str, Any]) -> list[Kind]:
    """The kinds of a keeper's child for hooks."""
    return [hook_kind(options.get("folders", ()))]
