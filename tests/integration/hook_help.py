"""Functions that hooks of tests call. Each notes in a file that it was called, and with what; the run's item says more.

Imported by name where calls are made, so what they do is told by the name and by the files beside the log.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from leasehold import HookCall, Snooze, StepError

LOG = "HOOK_HELP_LOG"


def log_path() -> Path:
    return Path(os.environ[LOG])


def note(call: HookCall, what: str = "called") -> None:
    entry = {"what": what, "key": call.key, "hook": call.hook, "event": call.event.name, "run": call.event.run_id,
             "attempt": call.attempt, "item": call.item, "pid": os.getpid()}  # fmt: skip
    with log_path().open("a") as file:
        file.write(json.dumps(entry) + "\n")


def noted(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def fine(call: HookCall) -> str:
    note(call)
    return f"told of {call.event.name}"


async def later(call: HookCall) -> None:
    note(call)


def hangs(call: HookCall) -> None:
    """For ever, with a child process of its own that would outlive it."""
    note(call)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    note(call, f"child {child.pid}")
    time.sleep(600)


def dies(call: HookCall) -> None:
    """Kills its process the first two times."""
    note(call)
    if call.attempt < 3:
        os.kill(os.getpid(), signal.SIGKILL)


def raises(call: HookCall) -> None:
    note(call)
    raise ValueError("the other side is not there")


def refuses(call: HookCall) -> StepError:
    note(call)
    return StepError("gone", "nobody wants it")


def not_yet(call: HookCall) -> Snooze | None:
    """Puts the first call off; that is no attempt."""
    note(call)
    return Snooze(0.1, "not yet") if len(noted(log_path())) == 1 else None


def gated(call: HookCall) -> None:
    """Waits for a file beside the log."""
    note(call)
    while not log_path().with_name("gate").exists():
        time.sleep(0.01)
    note(call, "done")
