"""Help for tests of workers and keepers: kinds that do what their items say, a log of what ran, waiting for conditions.

Children import this module by name (`worker_help:kinds`), so what they do is told by the items and written to a file.
Run as a program it is a keeper in a process of its own, with the signals of `leasehold worker`.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leasehold import Kind
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups
from leasehold.options import LeaseOptions
from leasehold.testing.stories import Kernel
from leasehold.types import Done, StepLease
from leasehold.worker.keeper import Keeper, KeeperConfig

HERE = Path(__file__).parent
SHORT = LeaseOptions(ttl_s=1.5, heartbeat_s=0.3)
PATIENCE_S = 60.0


def eventually(condition: Callable[[], Any], within_s: float = PATIENCE_S, what: str = "") -> Any:
    """The first true answer of *condition*, asked until the deadline."""
    give_up_at = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < give_up_at, f"not within {within_s} s: {what or condition}"
        time.sleep(0.01)
    return answer


async def eventually_async(condition: Callable[[], Any], within_s: float = PATIENCE_S, what: str = "") -> Any:
    give_up_at = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < give_up_at, f"not within {within_s} s: {what or condition}"
        await asyncio.sleep(0.005)
    return answer


def submit(kernel: Kernel, items: list[Any], *kinds: str, attempts_max: int = 3, wake: bool = True) -> list[int]:
    """A sealed group of one run per item; the ids of the first steps."""
    group = kernel.group(*kinds, attempts_max=attempts_max)
    first = kernel.session.run(lambda connection: groups.add(connection, group, items))
    assert first is not None
    kernel.seal(group)
    if wake:
        groups.wake(kernel.session)
    return [run * 1024 for run in range(first, first + len(items))]


def ended(kernel: Kernel, steps: list[int]) -> bool:
    return all(kernel.state(step) in ("succeeded", "failed", "cancelled") for step in steps)


# -- what children run ------------------------------------------------------------------------------------------------


def note(item: dict[str, Any], what: str, step: StepLease) -> None:
    with open(item["log"], "a") as file:
        file.write(f"{what} {step.step_id} {step.attempt} {os.getpid()} {time.monotonic()}\n")


def noted(log: Path, what: str = "began") -> list[tuple[int, int, int, float]]:
    """(step, attempt, pid, when) of each entry so far."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(s), int(a), int(p), float(t)) for w, s, a, p, t in (line.split() for line in lines) if w == what]


def until(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.01)


async def gentle(step: StepLease) -> None:
    """Async: waits for a file, or naps."""
    note(step.item, "began", step)
    if "until" in step.item:
        while not os.path.exists(step.item["until"]):
            await asyncio.sleep(0.01)
    await asyncio.sleep(step.item.get("nap_s", 0))
    note(step.item, "ended", step)


def rough(step: StepLease) -> Done:
    """Plain: may hold the interpreter for itself, kill its process, or wait for a file."""
    item = step.item
    note(item, "began", step)
    if item.get("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "holds_s" in item:
        ctypes.PyDLL(None).usleep(int(item["holds_s"] * 1e6))
    if "until" in item:
        until(item["until"])
    note(item, "ended", step)
    return Done()


def kinds(target: Target, options: dict[str, Any]) -> list[Kind]:
    if options.get("broken"):
        raise RuntimeError("this factory is broken")
    return [
        Kind(
            name="gentle",
            timeout_s=options.get("timeout_s", 30),
            run=gentle,
            page_max=10,
            prefetch=options.get("prefetch", 0),
        ),
        Kind(name="rough", timeout_s=options.get("timeout_s", 30), run=rough, page_max=10),
    ]


# -- a keeper in a process of its own ---------------------------------------------------------------------------------


def keeper_config(url: str, **options: Any) -> KeeperConfig:
    options.setdefault("lease", SHORT)
    options.setdefault("poll_max_s", 0.2)
    return KeeperConfig(target=Target(url=url), kinds="worker_help:kinds", **options)


def main() -> None:
    settings = json.loads(sys.argv[1])
    settings["lease"] = LeaseOptions(**settings["lease"])
    url = settings.pop("url")
    keeper = Keeper(
        keeper_config(url, **settings),
        lambda happening: print(json.dumps([happening.what, happening.pid, happening.detail]), flush=True),
    )
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            keeper.stop_now()
        stop.set()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)
    keeper.start()
    while not stop.wait(0.1) and keeper.alive:
        pass
    keeper.stop(20.0)


def other_session(url: str) -> Session:
    return Session(Target(url=url), application_name="test")


if __name__ == "__main__":
    main()
