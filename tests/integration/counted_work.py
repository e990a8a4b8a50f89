"""A kind whose items say how they end, for what counts ends. Children import it by name (`counted_work:kinds`)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from leasehold import Kind
from leasehold.db.target import Target
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease
from leasehold.worker.kinds import PageContext

log = logging.getLogger("counted_work")

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


def plain(step: StepLease) -> Done:
    log.warning("at work in a thread")
    return Done()


def paged(page: PageContext, steps: Sequence[StepLease]) -> Iterator[tuple[int, Outcome, int]]:
    log.warning("before any step")
    for index, step in enumerate(steps):
        page.begin(step)
        log.warning("at work on a page")
        yield index, Done(), 0


async def speaking(step: StepLease) -> None:
    log.warning("at work in a task")
    await asyncio.to_thread(log.warning, "at work beside it")


def _been(step: StepLease) -> bool:
    """Whether this step was here before without an attempt being counted."""
    if "mark" not in step.item:
        return False
    mark = Path(f"{step.item['mark']}-{step.step_id}")
    been = mark.exists()
    mark.touch()
    return been


def kinds(target: Target, options: dict[str, Any]) -> list[Kind]:
    return [
        Kind(name="counted", timeout_s=TIMEOUT_S, run=counted, page_max=5),
        Kind(name="plain", timeout_s=30, run=plain),
        Kind(name="paged", timeout_s=30, run_page=paged),
        Kind(name="speaking", timeout_s=30, run=speaking),
    ]
