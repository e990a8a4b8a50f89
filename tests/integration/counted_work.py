"""A kind whose items say how they end, for what counts ends. Children import it by name (`counted_work:kinds`)."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from leasehold import Kind
from leasehold.db.target import Target
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease

TIMEOUT_S = 2.0


async def counted(step: StepLease) -> Outcome:
    """Ends as the item says: always, or (`once`) only in its first attempt or, for a snooze, until a file is there."""
    how = step.item["ends"]
    if step.item.get("once") and (step.attempt > 1 or _been(step)):
        return Done()
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        await asyncio.sleep(60)
    ends: dict[str, Outcome] = {
        "done": Done(),
        "skip": Skip("nothing to do"),
        "snooze": Snooze(0.05),
        "busy": StepError("busy", error_class=ErrorClass.RESOURCE, retry_after_s=0.05),
        "error": StepError("flaky", error_class=ErrorClass.TRANSIENT),
        "fail": StepError("broken"),
    }
    return ends[how]


def _been(step: StepLease) -> bool:
    """Whether this step was here before without an attempt being counted."""
    if "mark" not in step.item:
        return False
    mark = Path(f"{step.item['mark']}-{step.step_id}")
    been = mark.exists()
    mark.touch()
    return been


def kinds(target: Target, options: dict[str, Any]) -> list[Kind]:
    return [Kind(name="counted", timeout_s=TIMEOUT_S, run=counted, page_max=5)]
