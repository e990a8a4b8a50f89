"""No-op and sleeping steps through one worker process: claim, consumers, finish, groups, events; start latency.

python bench/worker.py --url URL drain --steps 100000
python bench/worker.py --url URL sleep --steps 2000 --consumers 200
python bench/worker.py --url URL latency --steps 200
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import statistics
import subprocess
import sys
import time

from kernel import fill

from leasehold import Kind, StepLease, Worker, WorkerConfig
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups


async def noop(step: StepLease) -> None:
    return None


async def nap(step: StepLease) -> None:
    await asyncio.sleep(0.2)


def config(options: argparse.Namespace, kind: Kind) -> WorkerConfig:
    return WorkerConfig(database=options.url, kinds=[kind], consumers={"*": options.consumers})


async def drain(options: argparse.Namespace, session: Session, kind: Kind) -> None:
    group = fill(session, options.steps, [kind.name])
    worker = Worker(config(options, kind))
    started = time.perf_counter()
    await worker.start()
    while worker.counts.ended < options.steps and options.processes == 1:
        await asyncio.sleep(0.005)
    took = time.perf_counter() - started
    state = groups.state(session, group)
    while state is None or not state.completed:
        await asyncio.sleep(0.005)
        state = groups.state(session, group)
    took = time.perf_counter() - started if options.processes > 1 else took
    await worker.stop()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{options.steps:,} x {kind.name}, {options.consumers} consumers: {options.steps / took:,.0f} steps/s "
          f"in {took:.2f} s, {rss:.0f} MB")  # fmt: skip


async def latency(options: argparse.Namespace, session: Session) -> None:
    seen: list[float] = []

    async def handler(step: StepLease) -> None:
        seen.append(time.time() - step.item["at"])

    kind = Kind(name="lat", timeout_s=5, run=handler)
    async with Worker(config(options, kind)):
        await asyncio.sleep(1)
        sender = await asyncio.create_subprocess_exec(sys.executable, __file__, "--url", options.url, "send",
                                                      "--steps", str(options.steps))  # fmt: skip
        await sender.wait()
        await asyncio.sleep(0.5)
    seen.sort()
    p50, p99 = statistics.median(seen) * 1e3, seen[int(len(seen) * 0.99)] * 1e3
    print(f"{len(seen)} starts: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def send(options: argparse.Namespace, session: Session) -> None:
    workflow = groups.register(session, "latency", groups.chain("lat"))
    group, _ = groups.open_group(session, workflow)
    for _ in range(options.steps):
        time.sleep(random.uniform(0.015, 0.035))
        groups.add_all(session, group, [{"at": time.time()}])
    groups.seal(session, group)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("what", choices=["drain", "sleep", "latency", "send", "join"])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--consumers", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    with Session(Target(url=options.url)) as session:
        migrate(session)
        if options.what == "send":
            return send(options, session)
        others = []
        if options.what == "latency":
            asyncio.run(latency(options, session))
        else:
            kind = (
                Kind(name="nap", timeout_s=5, run=nap)
                if options.what == "sleep"
                else Kind(name="noop", timeout_s=5, run=noop, page_max=500, prefetch=1000, payload=False)
            )
            if options.what == "join":
                return asyncio.run(join(options, kind))
            for _ in range(options.processes - 1):
                others.append(subprocess.Popen([sys.executable, __file__, "--url", options.url, "join"]))
            if others:
                time.sleep(1.5)
            asyncio.run(drain(options, session, kind))
            for other in others:
                other.terminate()


async def join(options: argparse.Namespace, kind: Kind) -> None:
    async with Worker(config(options, kind)):
        await asyncio.sleep(3600)


if __name__ == "__main__":
    main()
