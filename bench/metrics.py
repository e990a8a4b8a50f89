"""What counting costs: processor time of one worker process per no-op step, with metrics and without, alternating.

Processor time of this process alone, and their ratio in one run, so that a busy machine does not decide. The worker is
embedded; what the database spends is not in it (it is the same either way). Scraping is measured apart: one exposition
of a full set of tallies, and one reading of the rows before a backlog.

    python bench/metrics.py [STEPS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

from leasehold import Kind, Worker, WorkerConfig
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import conditions, groups
from leasehold.metrics import Tallies
from leasehold.testing import clusters
from leasehold.testing.databases import Databases
from leasehold.types import StepLease
from leasehold.worker.tallies import NOBODY, Metrics

ROUNDS = 7


async def nothing(step: StepLease) -> None:
    return


async def drain(url: str, metrics: Metrics, steps: int) -> float:
    """Microseconds of processor time a step."""
    with Session(Target(url=url)) as session:
        workflow = groups.register(session, "bench", groups.chain("noop"))
        group, _ = groups.open_group(session, workflow)
        for _ in range(steps // 5000):
            groups.add_all(session, group, [{}] * 5000)
        groups.seal(session, group)
        kind = Kind(name="noop", timeout_s=60, run=nothing, page_max=500, prefetch=1000, payload=False)
        config = WorkerConfig(database=url, kinds=[kind], consumers={"*": 20}, metrics=metrics)
        began_s = time.process_time()
        async with Worker(config) as worker:
            while worker.counts.ended < steps:
                await asyncio.sleep(0.02)
            used_s = time.process_time() - began_s
    return used_s / steps * 1e6


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    databases = Databases(clusters.start(clusters.wanted(None)[0]))
    found: dict[bool, list[float]] = {True: [], False: []}
    with databases.clone() as url:
        for _ in range(ROUNDS):
            for counted in (False, True):
                found[counted].append(asyncio.run(drain(url, Tallies() if counted else NOBODY, steps)))
    without, counted_us = statistics.median(found[False]), statistics.median(found[True])
    print(f"processor time a step: {without:.2f} us without, {counted_us:.2f} us with: {counted_us / without:.3f}")
    tallies = Tallies()
    for n in range(64):
        tallies.ran(f"kind-{n}", [0.1])
    began_s = time.process_time()
    for _ in range(20):
        tallies.read()
    print(f"reading the tallies of 64 kinds: {(time.process_time() - began_s) / 20 * 1e3:.2f} ms")
    with databases.clone() as url, Session(Target(url=url)) as session:
        workflow = groups.register(session, "bench", groups.chain("noop"))
        for _ in range(10):
            group, _ = groups.open_group(session, workflow)
            for _ in range(10):
                groups.add_all(session, group, [{}] * 10_000)
        looks = []
        for _ in range(ROUNDS):
            began_s = time.monotonic()
            conditions.standing(session)
            looks.append(time.monotonic() - began_s)
        print(f"reading the rows before 1,000,000 ready steps in 10 lanes: {statistics.median(looks) * 1e3:.0f} ms")
    databases.remove_own()
    databases.close()


if __name__ == "__main__":
    main()
