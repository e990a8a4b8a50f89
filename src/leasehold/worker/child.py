"""A worker child: one `Worker` in a process of its own, run by a keeper.

Talks with its keeper by lines of JSON: on standard input first its settings, then what heartbeats said; on standard
output one line when it is ready. End of input means that the keeper is gone, and the child ends at once: without a
keeper nobody keeps its leases. (Linux also kills it with its parent, in case a C call holds the interpreter.)
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from leasehold.db.target import Target
from leasehold.errors import HolderGone
from leasehold.options import LeaseOptions
from leasehold.worker.board import Board
from leasehold.worker.kinds import Kind
from leasehold.worker.worker import Worker, WorkerConfig

EXIT_HOLDER_GONE = 75


def build_kinds(factory: str, target: Target, options: dict[str, Any]) -> list[Kind]:
    """The kinds that `module:function` makes of the target and its options."""
    module, _, function = factory.partition(":")
    kinds: list[Kind] = getattr(importlib.import_module(module), function)(target, options)
    return kinds


def main() -> None:
    """Entry of `python -m leasehold.worker.child`; started by a keeper only."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the whole group; the keeper decides
    settings = json.loads(sys.stdin.readline())
    logging.basicConfig(level=settings["log_level"], format="%(message)s", stream=sys.stderr)
    if os.environ.get("LEASEHOLD_FAULTS"):
        from leasehold.testing import faults

        faults.install_from_environment()
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(_work(settings)))


async def _work(settings: dict[str, Any]) -> int:
    target = Target(url=settings["url"], home=Path(settings["home"]) if settings["home"] else None)
    config = WorkerConfig(
        database=target,
        kinds=build_kinds(settings["kinds"], target, settings["kind_options"]),
        consumers=settings["consumers"],
        lease=LeaseOptions(**settings["lease"]),
        poll_max_s=settings["poll_max_s"],
    )
    worker = Worker(config, holder_id=settings["holder_id"], board=Board(settings["board_fd"]))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    stop_within = [30.0]
    await worker.start()
    threading.Thread(target=_hear, args=(worker, loop, stop, stop_within), daemon=True).start()
    print(json.dumps({"ready": os.getpid()}), flush=True)
    stopped = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(worker.wait())
    await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done() and ended.exception() is not None:
        gone = isinstance(ended.exception(), HolderGone)
        await worker.stop(0.5)
        return EXIT_HOLDER_GONE if gone else 1
    await worker.stop(stop_within[0])
    return 0


def _hear(worker: Worker, loop: asyncio.AbstractEventLoop, stop: asyncio.Event, stop_within: list[float]) -> None:
    """Read what the keeper says until it is gone."""
    for line in sys.stdin:
        said = json.loads(line)
        if "beat" in said:
            worker.beaten(said["beat"], None if said["tokens"] is None else frozenset(said["tokens"]))
        elif "stop" in said:
            stop_within[0] = said["stop"]
            loop.call_soon_threadsafe(stop.set)
    os._exit(EXIT_HOLDER_GONE)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(EXIT_HOLDER_GONE)


if __name__ == "__main__":
    main()
