"""A hook runner: a process in which hooks are called, one after the other, for a worker.

Whatever a hook does, it does it here: it may hang, hold the interpreter, or end the process, and nothing else stands
still. The worker keeps the clock and kills the runner, with all that it started, when a call's time is up.

Speaks lines of JSON: a call comes in on standard input; "began" and how it ended go out on what was standard output.
What hooks print goes to standard error. It ends when it has had nothing to do for a while, and with its worker.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import math
import os
import select
import signal
import sys
import traceback
from datetime import datetime
from typing import Any, TextIO

from leasehold.types import Done, ErrorClass, Event, HookCall, Outcome, Skip, Snooze, StepError
from leasehold.worker.lifeline import die_with_parent

IDLE_S = 60.0
SLACK_S = 5
"""After its time a call ends the process by itself, in case the worker that keeps the clock is gone."""


def main() -> None:
    """Entry of `python -m leasehold.worker.hook_runner PARENT FOLDER…`; started by a worker only."""
    die_with_parent(int(sys.argv[1]))
    sys.path.extend(one for one in sys.argv[2:] if one not in sys.path)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    while select.select([sys.stdin], [], [], IDLE_S)[0] and (line := sys.stdin.readline()):
        said = json.loads(line)
        tell(answers, "began")
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(math.ceil(said["timeout_s"]) + SLACK_S)
        outcome = perform(said)
        signal.alarm(0)
        tell(answers, said_of(outcome))


def tell(answers: TextIO, body: Any) -> None:
    answers.write(json.dumps(body) + "\n")


def perform(said: dict[str, Any]) -> Outcome:
    """Make the call; whatever it raises is its outcome."""
    try:
        call = call_of(said)
        if "://" in said["call"]:
            from leasehold.worker.posting import post

            return post(call, said["call"], said["timeout_s"])
        answer = function_of(said["call"])(call)
        if inspect.isawaitable(answer):
            answer = asyncio.run(_waited(answer))
    except StepError as error:
        return error
    except (Exception, SystemExit) as error:
        trace = "".join(traceback.format_exception(error))
        return StepError(type(error).__name__, trace[-1800:], error_class=ErrorClass.TRANSIENT)
    return answer if isinstance(answer, Done | Skip | Snooze | StepError) else Done(answer)


async def _waited(answer: Any) -> Any:
    return await answer


def call_of(said: dict[str, Any]) -> HookCall:
    event = said["event"]
    return HookCall(
        hook=said["hook"], key=said["key"], attempt=said["attempt"], item=said["item"],
        event=Event(**{**event, "at": datetime.fromisoformat(event["at"])}),
    )  # fmt: skip


def function_of(call: str) -> Any:
    """The function that `module:function` names.

    Raises:
        StepError: there is none; tried again, for it may be there on another host, or after the next install.
    """
    module, _, name = call.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise StepError(
            "no such function", str(error), error_class=ErrorClass.TRANSIENT,
            remedy=f"Install what has {call} where the workers run, or put it into the workflows folder.",
        ) from error  # fmt: skip
    if not callable(found):
        raise StepError("no such function", f"{call} is {type(found).__name__}, which cannot be called")
    return found


def said_of(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a line can carry it."""
    if isinstance(outcome, Done):
        return {"done": outcome.result if isinstance(outcome.result, str) else None}
    if isinstance(outcome, Skip):
        return {"skip": [outcome.reason, outcome.detail]}
    if isinstance(outcome, Snooze):
        return {"snooze": [float(outcome.delay_s), outcome.why]}
    return {
        "error": [outcome.reason, outcome.detail], "class": str(outcome.error_class), "remedy": outcome.remedy,
        "retry_after_s": outcome.retry_after_s,
    }  # fmt: skip


def heard(said: dict[str, Any]) -> Outcome:
    """The other way round, for the worker."""
    if "done" in said:
        return Done(said["done"])
    if "skip" in said:
        return Skip(*said["skip"])
    if "snooze" in said:
        return Snooze(*said["snooze"])
    return StepError(
        *said["error"],
        error_class=ErrorClass(said["class"]),
        remedy=said["remedy"],
        retry_after_s=said["retry_after_s"],
    )


if __name__ == "__main__":
    main()
