"""Procrastinate on psycopg: one worker, many concurrent jobs, notifications on; jobs are deferred in batches."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import procrastinate
from meter import Contender, Meter, main

PAGE = 5000
METER: list[Meter] = []

app = procrastinate.App(connector=procrastinate.PsycopgConnector(min_size=4, max_size=20))


@app.task(name="noop", queue="bench")
async def noop(n: int) -> None:
    METER[0].hit(n)


@app.task(name="lat", queue="bench")
async def lat(n: int, at: float) -> None:
    METER[0].heard(n, at)


@app.task(name="nap", queue="bench")
async def nap(n: int) -> None:
    await METER[0].nap(n)


class Jobs(Contender):
    async def setup(self) -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def enqueue(self, kind: str, items: int) -> float:
        async with app.open_async():
            started = time.perf_counter()
            for start in range(0, items, PAGE):
                page = [{"n": number} for number in range(start, min(items, start + PAGE))]
                await app.tasks[kind].batch_defer_async(*page)
            return time.perf_counter() - started

    async def sender(self) -> Callable[[int, float], Awaitable[object]]:
        await app.open_async()
        return lambda number, at: lat.defer_async(n=number, at=at)

    async def work(self, kind: str, consumers: int, meter: Meter, stopped: asyncio.Event) -> None:
        METER.append(meter)
        async with app.open_async():
            task = asyncio.create_task(
                app.run_worker_async(
                    queues=["bench"], concurrency=consumers, listen_notify=True, install_signal_handlers=False
                )
            )
            await asyncio.wait([task, asyncio.create_task(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


main(Jobs())
