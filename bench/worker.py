"""No-op and sleeping steps through one worker process: claim, consumers, finish, groups, events; start latency.

python bench/worker.py --url URL drain --steps 100000
python bench/worker.py --url URL sleep --steps 2000 --consumers 200
python bench/worker.py --url URL drain --steps 100000 --chain 5
python bench/worker.py --url URL latency --steps 200
python bench/worker.py --url URL alone --steps 200
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
from dataclasses import replace

from kernel import fill

from leasehold import Kind, StepLease, Worker, WorkerConfig
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups, pauses


async def noop(step: StepLease) -> None:
    return None


async def nap(step: StepLease) -> None:
    await asyncio.sleep(0.2)


def config(options: argparse.Namespace, *kinds: Kind) -> WorkerConfig:
    return WorkerConfig(database=options.url, kinds=kinds, consumers={"*": options.consumers})


def chained(kind: Kind, n: int) -> list[Kind]:
    return [kind] if n == 1 else [replace(kind, name=f"{kind.name}{i}") for i in range(n)]


async def drain(options: argparse.Namespace, session: Session, kind: Kind) -> None:
    kinds = chained(kind, options.chain)
    worker = Worker(config(options, *kinds))
    # Held back until all is there: other processes would have begun while it was being added.
    pauses.pause(session, "kind", kinds[0].name)
    group = fill(session, options.steps // options.chain, [one.name for one in kinds])
    if options.processes > 1:
        await worker.start()
        await asyncio.sleep(1)
    started = time.perf_counter()
    pauses.resume(session, "kind", kinds[0].name)
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
    chains = f" in chains of {options.chain}" * (options.chain > 1)
    rate = options.steps / took
    print(f"{options.steps:,} x {kind.name}{chains}, {options.consumers} consumers: {rate:,.0f} steps/s "
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


async def alone(options: argparse.Namespace, session: Session) -> None:
    """Runs of five steps, one after another, on an idle worker: from the add to the last step's first line."""
    ended = asyncio.Event()

    async def step(lease: StepLease) -> None:
        if lease.step_id % 1024 == 4:
            ended.set()

    kinds = [Kind(name=f"alone{i}", timeout_s=5, run=step) for i in range(5)]
    workflow = groups.register(session, "alone", groups.chain(*(kind.name for kind in kinds)))
    group, _ = groups.open_group(session, workflow)
    took = []
    async with Worker(config(options, *kinds)):
        await asyncio.sleep(1)
        for n in range(options.steps):
            await asyncio.sleep(random.uniform(0.02, 0.04))
            ended.clear()
            started = time.perf_counter()
            await asyncio.to_thread(groups.add_all, session, group, [{"n": n}])
            await ended.wait()
            took.append(time.perf_counter() - started)
    took.sort()
    print(f"{len(took)} runs of five steps, each alone: p50 {statistics.median(took) * 1e3:.1f} ms, "
          f"p99 {took[int(len(took) * 0.99)] * 1e3:.1f} ms, least {took[0] * 1e3:.1f} ms")  # fmt: skip


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
    parser.add_argument("what", choices=["drain", "sleep", "latency", "alone", "send", "join"])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--consumers", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--chain", type=int, default=1)
    options = parser.parse_args()
    with Session(Target(url=options.url)) as session:
        migrate(session)
        if options.what == "send":
            return send(options, session)
        others = []
        if options.what == "latency":
            asyncio.run(latency(options, session))
        elif options.what == "alone":
            asyncio.run(alone(options, session))
        else:
            kind = (
                Kind(name="nap", timeout_s=5, run=nap)
                if options.what == "sleep"
                else Kind(name="noop", timeout_s=5, run=noop, page_max=500, prefetch=1000, payload=False)
            )
            if options.what == "join":
                return asyncio.run(join(options, kind))
            for _ in range(options.processes - 1):
                others.append(subprocess.Popen([sys.executable, __file__, "--url", options.url, "join",
                                                "--chain", str(options.chain)]))  # fmt: skip
            if others:
                time.sleep(1.5)
            asyncio.run(drain(options, session, kind))
            for other in others:
                other.terminate()


async def join(options: argparse.Namespace, kind: Kind) -> None:
    async with Worker(config(options, *chained(kind, options.chain))):
        await asyncio.sleep(3600)


if __name__ == "__main__":
    main()
