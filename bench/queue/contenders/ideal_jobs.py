"""The yardstick: the least that can be called a queue on PostgreSQL, written by hand for this table alone.

One table. A claim takes up to a page of ready rows with SKIP LOCKED, a finish marks them by array; each is a
transaction of its own, and finished rows stay. While one page is worked the next is being claimed and the last one
finished, on two connections. A consumer that has an item goes on with the next without giving up its turn, so that
short items cost no task and no hand-over.

Not here, and so in nobody's favour but its own: priorities, retries, timeouts, leases, heartbeats, groups, events,
pause, several kinds in one worker, a check of who finishes what. A worker that dies leaves its rows behind for ever.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable

import asyncpg
from meter import Contender, Meter, main

PAGE = 500
AHEAD = 1000
SCHEMA = """
create table job (
    id bigint generated always as identity primary key,
    kind text not null,
    state smallint not null default 0,
    item jsonb not null
);
create index job_ready_ix on job (kind, id) where state = 0
"""
CLAIM = """
update job j set state = 1
  from (select id from job where kind = $1 and state = 0 order by id limit $2 for update skip locked) t
 where j.id = t.id
returning j.id, j.item
"""
FINISH = "update job set state = 2 where id = any ($1::bigint[])"


class Worker:
    """Claims ahead of its consumers; finishes in whatever pages have come together meanwhile."""

    def __init__(self, kind: str, consumers: int, handle: Callable[[dict], Awaitable[None]], ahead: int) -> None:
        self.kind, self.consumers, self.handle, self.ahead = kind, consumers, handle, ahead
        self.waiting: deque[tuple[int, str]] = deque()
        self.done: list[int] = []
        self.working = 0
        self.hungry, self.full, self.ended, self.news = (asyncio.Event() for _ in range(4))

    async def run(self, stopped: asyncio.Event) -> None:
        claims, finishes, ears = [await asyncpg.connect() for _ in range(3)]
        await ears.add_listener("job", lambda *_: self.news.set())
        tasks = [asyncio.create_task(self.claim(claims)), asyncio.create_task(self.finish(finishes))]
        tasks += [asyncio.create_task(self.consume()) for _ in range(self.consumers)]
        over = asyncio.create_task(stopped.wait())
        await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for task in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(task, Exception):
                raise task

    async def claim(self, connection: asyncpg.Connection) -> None:
        take = await connection.prepare(CLAIM)
        while True:
            wanted = min(PAGE, self.ahead + self.consumers - self.working - len(self.waiting))
            if wanted < min(PAGE, self.ahead + 1):
                self.hungry.clear()
                await self.hungry.wait()
                continue
            self.news.clear()
            rows = await take.fetch(self.kind, wanted)
            self.waiting.extend((row[0], row[1]) for row in rows)
            self.full.set()
            if not rows:
                await self.idle()

    async def idle(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self.news.wait()
        except TimeoutError:
            pass

    async def consume(self) -> None:
        while True:
            while self.waiting:
                job, item = self.waiting.popleft()
                self.working += 1
                await self.handle(json.loads(item))
                self.working -= 1
                self.done.append(job)
                self.ended.set()
                self.hungry.set()
            self.full.clear()
            await self.full.wait()

    async def finish(self, connection: asyncpg.Connection) -> None:
        mark = await connection.prepare(FINISH)
        while True:
            if not self.done:
                self.ended.clear()
                await self.ended.wait()
            page, self.done = self.done[:PAGE], self.done[PAGE:]
            await mark.fetch(page)


class Ideal(Contender):
    async def setup(self) -> None:
        connection = await asyncpg.connect()
        await connection.execute(SCHEMA)
        await connection.close()

    async def enqueue(self, kind: str, items: int) -> float:
        connection = await asyncpg.connect()
        started = time.perf_counter()
        rows = [(kind, json.dumps({"n": number})) for number in range(items)]
        await connection.copy_records_to_table("job", records=rows, columns=["kind", "item"])
        await connection.execute("notify job")
        return time.perf_counter() - started

    async def sender(self) -> Callable[[int, float], Awaitable[object]]:
        connection = await asyncpg.connect()
        add = await connection.prepare(
            "with added as (insert into job (kind, item) values ('lat', $1)) select pg_notify('job', '')"
        )
        return lambda number, at: add.fetch(json.dumps({"n": number, "at": at}))

    async def work(self, kind: str, consumers: int, meter: Meter, stopped: asyncio.Event) -> None:
        async def noop(item: dict) -> None:
            meter.hit(item["n"])

        async def lat(item: dict) -> None:
            meter.heard(item["n"], item["at"])

        async def nap(item: dict) -> None:
            await meter.nap(item["n"])

        handler = {"noop": noop, "lat": lat, "nap": nap}[kind]
        await Worker(kind, consumers, handler, AHEAD if kind == "noop" else 0).run(stopped)


main(Ideal())
