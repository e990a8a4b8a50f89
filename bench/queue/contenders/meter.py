"""What every Python contender shares: the conversation with the bench, and the count of what was really done.

    setup                     make the schema in an empty database
    enqueue KIND N            add items 0 to N-1 by the quickest documented call; says the seconds it took
    send N                    add N items one by one, 15 to 35 ms apart, each with the time it was sent at
    work KIND CONSUMERS N     be a worker: say ready, wait for `go`, work until `stop`, then tell what was seen

The database is named by the PG… variables, which every driver reads. A worker counts each item by its number in `seen`,
so one that was lost or worked twice shows, also between two workers. It says how far it is a hundred times a second,
and ends when its standard input does.

Not here: anything about a particular queue. Standard library only, since each contender has its own packages.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

NAP_S = 0.2
REPORT_EVERY_S = 0.01
SAYING = threading.Lock()


class Meter:
    """Counts items by their number. `hit` and the like are for one thread: the event loop's."""

    def __init__(self, items: int) -> None:
        self.seen = bytearray(items)
        self.done = 0
        self.first_s: float | None = None
        self.waits_s: list[float] = []

    def start(self) -> None:
        if self.first_s is None:
            self.first_s = time.time()

    def hit(self, number: int) -> None:
        if self.first_s is None:
            self.first_s = time.time()
        self.seen[number] += 1
        self.done += 1

    def heard(self, number: int, sent_s: float) -> None:
        self.waits_s.append(time.time() - sent_s)
        self.hit(number)

    async def nap(self, number: int) -> None:
        self.start()
        await asyncio.sleep(NAP_S)
        self.hit(number)

    def progress(self) -> dict[str, Any]:
        return {"done": self.done, "first_s": self.first_s}

    def account(self) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        per_mb = 1024 if sys.platform == "linux" else 1024 * 1024
        return self.progress() | {
            "seen": base64.b64encode(self.seen).decode(),
            "waits_ms": [wait * 1e3 for wait in self.waits_s],
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "rss_mb": usage.ru_maxrss / per_mb,
        }


class Contender:
    """One queue. Override all of it; `work` runs until *stopped* is set, and returns when its worker has ended."""

    async def setup(self) -> None:
        raise NotImplementedError

    async def enqueue(self, kind: str, items: int) -> float:
        """Seconds for all the calls of a client that is connected."""
        raise NotImplementedError

    async def sender(self) -> Callable[[int, float], Awaitable[object]]:
        """A call that adds one item of kind `lat`: its number and the time."""
        raise NotImplementedError

    async def work(self, kind: str, consumers: int, meter: Meter, stopped: asyncio.Event) -> None:
        raise NotImplementedError


def say(what: dict[str, Any]) -> None:
    """One line, whole: the report has a thread of its own, and an account is longer than what a pipe takes at once."""
    with SAYING:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def main(contender: Contender) -> None:
    command, *args = sys.argv[1:]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        if command == "setup":
            runner.run(contender.setup())
        elif command == "enqueue":
            say({"seconds": runner.run(contender.enqueue(args[0], int(args[1])))})
        elif command == "send":
            runner.run(send(contender, int(args[0])))
        else:
            runner.run(work(contender, args[0], int(args[1]), Meter(int(args[2]))))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The quicker loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def send(contender: Contender, items: int) -> None:
    add = await contender.sender()
    rng = random.Random(1)
    for number in range(items):
        await asyncio.sleep(rng.uniform(0.015, 0.035))
        await add(number, time.time())


async def work(contender: Contender, kind: str, consumers: int, meter: Meter) -> None:
    stopped = asyncio.Event()
    say({"ready": True})
    if sys.stdin.readline().strip() != "go":
        return
    loop = asyncio.get_running_loop()
    for target in (lambda: listen(loop, stopped), lambda: report(meter)):
        threading.Thread(target=target, daemon=True).start()
    await contender.work(kind, consumers, meter, stopped)
    say(meter.account())


def listen(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    if sys.stdin.readline().strip() != "stop":
        os._exit(1)  # whoever started this has gone
    loop.call_soon_threadsafe(stopped.set)


def report(meter: Meter) -> None:
    told = 0
    while True:
        time.sleep(REPORT_EVERY_S)
        if meter.done != told:
            told = meter.done
            say(meter.progress())
