"""Twenty workers that hold leases, behind a PgBouncer in transaction mode that is full, old, and in trouble.

python bench/routes.py --seconds 60              with two routes, then everything through the pooler
python bench/routes.py --seconds 15 --way two --json

The pool has four places and twelve other clients that fill them; server sessions live two seconds and idle for one;
every two seconds all are dropped (RECONNECT), once everybody is thrown out (KILL), once the pooler dies and comes back.
Each worker holds one step for the whole time, and does short ones beside it. Counted: leases lost (holders reaped, late
words, steps worked twice), heartbeats that came more than two intervals after the one before, how long a claim loop
was without an answer, steps a second, connections made anew, and whether everything was worked in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg

from leasehold import Kind, StepLease, Worker, WorkerConfig
from leasehold.db.line import Line
from leasehold.db.session import Session
from leasehold.db.target import DISABLE_DIRECT, Target
from leasehold.errors import HolderGone
from leasehold.kernel import groups, holders
from leasehold.kernel.holders import Kept
from leasehold.logs import set_up
from leasehold.options import LeaseOptions
from leasehold.testing import clusters
from leasehold.testing.clusters import Cluster
from leasehold.testing.databases import Databases
from leasehold.testing.pooler import Pooler
from leasehold.testing.stories import Kernel
from leasehold.worker.beats import Beats

WORKERS, PROCESSES = 20, 4
BULK_CLIENTS = 12
STEPS_EACH_S = 150
NAP_S = 0.1
POOLER = {"default_pool_size": 4, "server_lifetime": 2, "server_idle_timeout": 1, "query_wait_timeout": 5}
WAYS = {"two": "two routes", "pooler": "all through the pooler", "advised": "the same, server_login_retry = 1"}
DRAIN_S = 150.0


# -- one process of workers -------------------------------------------------------------------------------------------


class Crew:
    """Some workers, and what a keeper does for them: one heartbeat for all, a new worker for one that was reaped."""

    def __init__(self, target: Target, lease: LeaseOptions, size: int, seconds: float) -> None:
        self.target, self.lease, self.seconds = target, lease, seconds
        self.workers: dict[int, Worker] = {}
        self.ran: Counter[int] = Counter()
        self.silence_s = 0.0
        self.reaped = self.lost = self.reconnects = 0
        self.released, self.stopped = asyncio.Event(), asyncio.Event()
        self.beats = Beats(
            target, lease, lambda: list(self.workers), self._beaten,
            lambda: {holder_id: worker._standing for holder_id, worker in self.workers.items()},
        )  # fmt: skip
        self.kinds = [
            Kind(name="hold", timeout_s=seconds + 300, run=self._hold, prefetch=0),
            Kind(name="short", timeout_s=30, run=self._short),
        ]
        self.size = size

    async def _hold(self, step: StepLease) -> None:
        self.ran[step.step_id] += 1
        await self.released.wait()

    async def _short(self, step: StepLease) -> None:
        self.ran[step.step_id] += 1
        await asyncio.sleep(NAP_S)

    def _beaten(self, sent_s: float, ids: list[int], living: dict[int, Kept]) -> None:
        for holder_id in ids:
            if holder_id in self.workers:
                self.workers[holder_id].beaten(sent_s, living.get(holder_id))

    async def work(self) -> None:
        self.beats.start()
        await asyncio.gather(*(self._one(number) for number in range(self.size)))
        self.beats.stop()

    async def _one(self, number: int) -> None:
        while not self.stopped.is_set():
            with Line(self.target, route="direct", application_name="leasehold desk") as desk:
                name = f"{os.getpid()}-{number}"
                holder_id = await asyncio.to_thread(
                    holders.join, desk, kind="worker", name=name, ttl_s=self.lease.ttl_s
                )
            config = WorkerConfig(database=self.target, kinds=self.kinds, consumers={"hold": 1, "short": 1},
                                  lease=self.lease, poll_max_s=0.5)  # fmt: skip
            worker = Worker(config, holder_id=holder_id)
            await worker.start()
            self._watch(worker)
            self.workers[holder_id] = worker
            await self._until_it_ends(worker)
            del self.workers[holder_id]
            self.lost += worker.counts.lost
            self.reconnects += worker._claims.reconnects + worker._finishes.reconnects

    async def _until_it_ends(self, worker: Worker) -> None:
        stop, ends = asyncio.create_task(self.stopped.wait()), asyncio.create_task(worker.wait())
        await asyncio.wait((stop, ends), return_when=asyncio.FIRST_COMPLETED)
        if not ends.done():
            await worker.stop(10)
        try:
            await ends
        except HolderGone:
            self.reaped += 1
        stop.cancel()

    def _watch(self, worker: Worker) -> None:
        """Note how long its claim loop was without an answer."""
        claimer, cycle = worker._claimer, worker._claimer._cycle
        answered_s = time.monotonic()

        def watched(look: bool) -> Any:
            nonlocal answered_s
            found = cycle(look)
            now = time.monotonic()
            if not self.released.is_set():
                self.silence_s = max(self.silence_s, now - answered_s)
            answered_s = now
            return found

        claimer._cycle = watched  # type: ignore[method-assign]


async def crew(settings: dict[str, Any]) -> None:
    set_up(logging.WARNING)
    target = Target(url=settings["url"], direct_url=settings["direct_url"])
    made = Crew(target, LeaseOptions(**settings["lease"]), settings["size"], settings["seconds"])
    working = asyncio.create_task(made.work())
    loop = asyncio.get_running_loop()
    for event in (made.released, made.stopped):
        await loop.run_in_executor(None, sys.stdin.readline)
        event.set()
    await working
    twice = sum(n - 1 for n in made.ran.values())
    print(json.dumps({"reaped": made.reaped, "lost": made.lost, "twice": twice, "silence_s": made.silence_s,
                      "reconnects": made.reconnects, "steps": len(made.ran)}))  # fmt: skip


# -- what goes on around them -----------------------------------------------------------------------------------------


class Bulk(threading.Thread):
    """A client that fills a place of the pool with one transaction after another."""

    def __init__(self, url: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.url, self.over, self.done = url, over, 0

    def run(self) -> None:
        while not self.over.is_set():
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self.url, prepare_threshold=None, connect_timeout=5) as db,
            ):
                while not self.over.is_set():
                    db.execute("insert into public.bulk select generate_series(1, 200)")
                    db.execute("select pg_sleep(0.1)")
                    db.commit()
                    self.done += 1
            self.over.wait(0.05)


def trouble(pooler: Pooler, seconds: float, over: threading.Event) -> None:
    """RECONNECT every two seconds; KILL at a third of the time, a restart at two thirds."""
    began, done = time.monotonic(), set()
    while not over.wait(2 if seconds > 10 else 0.5):
        part = (time.monotonic() - began) / seconds
        if part > 0.33 and "kill" not in done:
            done.add("kill")
            pooler.kill()
            over.wait(0.5)
            pooler.resume()
        elif part > 0.66 and "restart" not in done:
            done.add("restart")
            pooler.restart()
        else:
            pooler.reconnect()


class Heartbeats(threading.Thread):
    """Reads, past the pooler, when each holder was last kept."""

    SEEN = "select holder_id, extract(epoch from heartbeat_at)::float8 from leasehold.holder where ended_at is null"

    def __init__(self, url: str, heartbeat_s: float, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.url, self.heartbeat_s, self.over = url, heartbeat_s, over
        self.late, self.longest_s = 0, 0.0

    def run(self) -> None:
        last: dict[int, float] = {}
        with psycopg.connect(self.url, autocommit=True) as db:
            while not self.over.wait(0.1):
                for holder, at in db.execute(self.SEEN).fetchall():
                    gap = at - last.get(holder, at)
                    self.late += gap > 2 * self.heartbeat_s
                    self.longest_s = max(self.longest_s, gap)
                    last[holder] = at


@contextlib.contextmanager
def crews(settings: dict[str, Any], way: str) -> Iterator[list[subprocess.Popen[str]]]:
    environment = os.environ | ({} if way == "two" else {DISABLE_DIRECT: "1"})
    processes = [
        subprocess.Popen([sys.executable, __file__, "crew"], env=environment, text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(PROCESSES)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def tell(processes: list[subprocess.Popen[str]], word: str) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(word + "\n")
        process.stdin.flush()


def fill(session: Session, kind: str, n: int) -> int:
    workflow = groups.register(session, f"routes {kind}", groups.chain(kind))
    group, _ = groups.open_group(session, workflow)
    for start in range(0, n, 1000):
        items = [{"n": i} for i in range(start, min(n, start + 1000))]
        session.run(lambda connection, items=items: groups.add(connection, group, items))
    groups.seal(session, group)
    return group


def measure(url: str, way: str, seconds: float, lease: LeaseOptions) -> dict[str, Any]:
    """One run on the empty migrated database of *url*."""
    over, n = threading.Event(), int(seconds * STEPS_EACH_S)
    advised = {"server_login_retry": 1} if way == "advised" else {}
    with Session(Target(url=url)) as session, Pooler(url, **POOLER, **advised) as pooler:
        session.connection.execute("create table public.bulk (n integer)")
        made = [fill(session, "hold", WORKERS), fill(session, "short", n)]
        settings = {"url": pooler.url, "direct_url": url, "size": WORKERS // PROCESSES, "seconds": seconds,
                    "lease": {"ttl_s": lease.ttl_s, "heartbeat_s": lease.heartbeat_s}}  # fmt: skip
        bulk = [Bulk(pooler.url, over) for _ in range(BULK_CLIENTS)]
        beats = Heartbeats(url, lease.heartbeat_s, over)
        with crews(settings, way) as processes:
            until(lambda: held(session) == WORKERS, 60, "every worker holds its step")
            for thread in (*bulk, beats):
                thread.start()
            began = time.monotonic()
            trouble_over = threading.Event()
            threading.Timer(seconds, trouble_over.set).start()
            trouble(pooler, seconds, trouble_over)
            kept = held(session)
            rate = ended(session, made[1]) / (time.monotonic() - began)
            over.set()
            tell(processes, "release")
            complete = until(lambda: all(is_complete(session, one) for one in made), DRAIN_S, "")
            tell(processes, "stop")
            said = [process.communicate(timeout=60) for process in processes]
        reports = [json.loads(out.splitlines()[-1]) for out, _ in said]
        total = {key: sum(one[key] for one in reports) for key in ("reaped", "lost", "twice", "reconnects")}
        Kernel(session).check()
        charged = session.fetch("select count(*) from leasehold.outcome where attempt > 1 or ended <> 'succeeded'")
        return {
            "way": way, "seconds": seconds, "workers": WORKERS, "held_at_the_end": kept, **total,
            "late_heartbeats": beats.late, "longest_heartbeat_s": round(beats.longest_s, 2),
            "longest_silence_s": round(max(one["silence_s"] for one in reports), 2), "steps_per_s": round(rate, 1),
            "bulk_per_s": round(sum(one.done for one in bulk) / seconds, 1), "complete": complete,
            "not_at_once": charged[0][0],
            "said": sorted({line for _, errors in said for line in errors.splitlines() if "degraded" in line}),
            "log_lines": sum(len(errors.splitlines()) for _, errors in said),
        }  # fmt: skip


def held(session: Session) -> int:
    return int(session.fetch("select count(*) from leasehold.lease where kind = 'hold'")[0][0])


def ended(session: Session, group: int) -> int:
    state = groups.state(session, group)
    return state.succeeded + state.failed if state else 0


def is_complete(session: Session, group: int) -> bool:
    state = groups.state(session, group)
    return bool(state and state.completed)


def until(question: Any, within_s: float, what: str) -> bool:
    give_up_at = time.monotonic() + within_s
    while not question():
        if time.monotonic() > give_up_at:
            if what:
                raise SystemExit(f"not within {within_s:.0f} s: {what}")
            return False
        time.sleep(0.1)
    return True


ROWS = {
    "leases held at the end": "held_at_the_end", "holders reaped": "reaped", "words refused as late": "lost",
    "steps worked twice": "twice", "heartbeats more than two intervals late": "late_heartbeats",
    "longest time between two heartbeats, s": "longest_heartbeat_s",
    "longest silence of a claim loop, s": "longest_silence_s", "short steps a second": "steps_per_s",
    "connections made anew": "reconnects", "everything worked in the end": "complete",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crew", nargs="?", choices=["crew"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help="a server whose role may create databases [the tests' own]")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--ttl", type=float, default=6)
    parser.add_argument("--way", choices=WAYS, help="only this one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.crew:
        asyncio.run(crew(json.loads(sys.stdin.readline())))
        return
    lease, found = LeaseOptions(ttl_s=options.ttl, heartbeat_s=options.ttl / 6), []
    databases = Databases(Cluster("given", options.url) if options.url else clusters.start())
    for way in [options.way] if options.way else WAYS:
        with databases.clone() as url:
            found.append(measure(url, way, options.seconds, lease))
    if options.json:
        print(json.dumps(found if len(found) > 1 else found[0]))
        return
    print("| | " + " | ".join(WAYS[one["way"]] for one in found) + " |")
    for name, key in ROWS.items():
        print(f"| {name} | " + " | ".join(str(one[key]) for one in found) + " |")


if __name__ == "__main__":
    main()
