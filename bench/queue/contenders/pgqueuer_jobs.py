"""PgQueuer on asyncpg: one queue manager in the process, large batches.

Its documentation's advice is followed: asyncpg and uvloop, `pgq autovac`, jobs by list. A batch size needs twice as
many concurrent tasks, so a number of consumers gets batches of half of it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
from meter import Contender, Meter, main
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

PAGE = 10_000
BATCH = 500


class Jobs(Contender):
    async def setup(self) -> None:
        program = Path(sys.executable).with_name("pgq")
        for command in ("install", "autovac"):
            subprocess.run([program, command], check=True, stdout=subprocess.DEVNULL)

    async def enqueue(self, kind: str, items: int) -> float:
        queries = Queries(AsyncpgDriver(await asyncpg.connect()))
        started = time.perf_counter()
        for start in range(0, items, PAGE):
            numbers = range(start, min(items, start + PAGE))
            bodies = [json.dumps({"n": number}).encode() for number in numbers]
            await queries.enqueue([kind] * len(bodies), bodies, [0] * len(bodies))
        return time.perf_counter() - started

    async def sender(self) -> Callable[[int, float], Awaitable[object]]:
        queries = Queries(AsyncpgDriver(await asyncpg.connect()))
        return lambda number, at: queries.enqueue("lat", json.dumps({"n": number, "at": at}).encode())

    async def work(self, kind: str, consumers: int, meter: Meter, stopped: asyncio.Event) -> None:
        manager = PgQueuer(AsyncpgDriver(await asyncpg.connect()))

        @manager.entrypoint("noop")
        async def noop(job: Job) -> None:
            meter.hit(json.loads(job.payload)["n"])

        @manager.entrypoint("lat")
        async def lat(job: Job) -> None:
            item = json.loads(job.payload)
            meter.heard(item["n"], item["at"])

        @manager.entrypoint("nap")
        async def nap(job: Job) -> None:
            await meter.nap(json.loads(job.payload)["n"])

        if kind == "noop":
            running = manager.run(batch_size=BATCH)
        else:
            running = manager.run(
                batch_size=max(1, consumers // 2), max_concurrent_tasks=consumers, dequeue_timeout=timedelta(seconds=30)
            )
        task = asyncio.create_task(running)
        await asyncio.wait([task, asyncio.create_task(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
        manager.shutdown.set()
        await task


main(Jobs())
