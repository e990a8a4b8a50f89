"""A worker child: one `Worker` in a process of its own, run by a keeper.

Hears its keeper by lines of JSON on standard input: first its settings, then what heartbeats said, then the stop. End
of input means that the keeper is gone, and the child ends at once: without a keeper nobody keeps its leases. (Linux
also kills it with its parent, in case a C call holds the interpreter.)

It ends by `os._exit`, once everything is given back: a step that hangs in a thread must not keep the process.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
import threading
from typing import Any

from leasehold.db import routes
from leasehold.db.target import Target
from leasehold.errors import HolderGone
from leasehold.kernel.holders import Kept
from leasehold.logs import set_up
from leasehold.options import LeaseOptions
from leasehold.worker.board import Board
from leasehold.worker.kinds import Kind
from leasehold.worker.lifeline import EXIT_HOLDER_GONE, die_with_parent
from leasehold.worker.tallies import NOBODY
from leasehold.worker.tracing import Sender, Tracing
from leasehold.worker.worker import Worker, WorkerConfig


def build_kinds(factory: str, target: Target, options: dict[str, Any]) -> list[Kind]:
    """The kinds that `module:function` makes of the target and its options."""
    module, _, function = factory.partition(":")
    kinds: list[Kind] = getattr(importlib.import_module(module), function)(target, options)
    return kinds


def main() -> None:
    """Entry of `python -m leasehold.worker.child`; started by a keeper only."""
    die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the whole group; the keeper decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    line = sys.stdin.readline()
    if not line:
        os._exit(EXIT_HOLDER_GONE)
    settings = json.loads(line)
    sys.path.extend(one for one in settings["path"] if one not in sys.path)  # behind ours: it has the kinds, no more
    set_up(settings["log_level"], settings["log_format"])
    limit_memory(settings["memory_max_bytes"])
    if os.environ.get("LEASEHOLD_FAULTS"):
        from leasehold.testing import faults

        faults.install_from_environment()
    sender = Sender() if settings["trace"] else None
    try:
        code = asyncio.run(_work(settings, sender.tracing if sender is not None else None))
    except Exception:
        logging.getLogger("leasehold.worker").exception("the worker cannot work")
        code = 1
    if sender is not None:
        sender.close()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


async def _work(settings: dict[str, Any], tracing: Tracing | None) -> int:
    target = Target.from_dict(settings["target"])
    routes.of(target).adopt(settings["routes"])
    board = Board(settings["board_fd"])
    config = WorkerConfig(
        database=target,
        kinds=build_kinds(settings["kinds"], target, settings["kind_options"]),
        consumers=settings["consumers"],
        lease=LeaseOptions(**settings["lease"]),
        poll_max_s=settings["poll_max_s"],
        metrics=board.tallies if settings["metrics"] else NOBODY,
        tracing=tracing,
    )
    worker = Worker(config, holder_id=settings["holder_id"], board=board)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    stop_within = [30.0]
    await worker.start()
    threading.Thread(target=_hear, args=(worker, loop, stop, stop_within), daemon=True).start()
    stopped = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(worker.wait())
    await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    await worker.stop(stop_within[0])
    try:
        await ended
    except HolderGone:
        return EXIT_HOLDER_GONE
    except Exception:  # it has said so
        return 1
    return 0


def _hear(worker: Worker, loop: asyncio.AbstractEventLoop, stop: asyncio.Event, stop_within: list[float]) -> None:
    """Read what the keeper says until it is gone."""
    while line := sys.stdin.readline():
        said = json.loads(line)
        if "beat" in said:
            tokens = said["tokens"]
            kept = None if tokens is None else Kept(frozenset(tokens), frozenset(said["cancelled"]), said["drain"])
            worker.beaten(said["beat"], kept)
        elif "stop" in said:
            stop_within[0] = said["stop"]
            loop.call_soon_threadsafe(stop.set)
    os._exit(EXIT_HOLDER_GONE)


def limit_memory(most: int) -> None:
    """Let this process allocate at most *most* bytes (0: no limit); what asks for more gets a MemoryError.

    Counted are its own writable pages, not files it maps and shares. Only Linux counts so; elsewhere there is no limit.
    """
    if most and sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


if __name__ == "__main__":
    main()
