"""Leasehold as a program embeds it: one `Worker` in the process, all steps in one group, every item read."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable

from meter import Contender, Meter, main

from leasehold import Kind, StepLease, Worker, WorkerConfig
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups

PAGE = 5000
TARGET = Target(url="")  # the PG… variables say all of it


class Leasehold(Contender):
    """`reads_items` off: the step is told by its id alone, and its item is not fetched."""

    def __init__(self, *, reads_items: bool = True, groups_wanted: int = 1) -> None:
        self.reads_items, self.groups_wanted = reads_items, groups_wanted

    async def setup(self) -> None:
        with Session(TARGET) as session:
            migrate(session)

    async def enqueue(self, kind: str, items: int) -> float:
        with Session(TARGET) as session:
            workflow = groups.register(session, kind, groups.chain(kind))
            session.fetch("select 1")
            started = time.perf_counter()
            each = -(-items // self.groups_wanted)
            for first in range(0, items, each):
                group, _ = groups.open_group(session, workflow)
                last = min(items, first + each)
                for start in range(first, last, PAGE):
                    groups.add_all(session, group, [{"n": n} for n in range(start, min(last, start + PAGE))])
                groups.seal(session, group)
            return time.perf_counter() - started

    async def sender(self) -> Callable[[int, float], Awaitable[object]]:
        session = Session(TARGET)
        workflow = groups.register(session, "lat", groups.chain("lat"))
        group, _ = groups.open_group(session, workflow)

        async def add(number: int, at: float) -> None:
            groups.add_all(session, group, [{"n": number, "at": at}])

        return add

    async def work(self, kind: str, consumers: int, meter: Meter, stopped: asyncio.Event) -> None:
        async def noop(step: StepLease) -> None:
            meter.hit(step.item["n"])

        async def noop_by_id(step: StepLease) -> None:
            meter.hit((step.step_id >> 10) - 1)  # runs are numbered from 1, in the order they were added

        async def lat(step: StepLease) -> None:
            meter.heard(step.item["n"], step.item["at"])

        async def nap(step: StepLease) -> None:
            await meter.nap(step.item["n"])

        if kind == "noop":
            run = noop if self.reads_items else noop_by_id
            chosen = Kind(name=kind, timeout_s=5, run=run, page_max=500, prefetch=1000, payload=self.reads_items)
        else:
            chosen = Kind(name=kind, timeout_s=5, run=nap if kind == "nap" else lat)
        async with Worker(WorkerConfig(database=TARGET, kinds=[chosen], consumers={"*": consumers})):
            await stopped.wait()


if __name__ == "__main__":
    form = os.environ.get("BENCH_FORM", "")
    main(Leasehold(reads_items=form != "by id", groups_wanted=int(form) if form.isdigit() else 1))
    sys.stdout.flush()
