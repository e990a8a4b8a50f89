"""`leasehold worker`: a keeper with its children, on this or another machine."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import emit, note
from leasehold.cli.ingest import hands
from leasehold.errors import UsageError


@click.command()
@click.option("--processes", type=int, metavar="P", help="Worker processes [one per core].")
@click.option("--consumers", metavar="POOLS", help="Consumers of each process by kind: parse=2,*=4 [*=2].")
@click.option("--until-idle", is_flag=True, help="Stop when no open group has anything left to do.")
@click.option("--stop-within", type=float, default=30.0, show_default=True, metavar="S", help="Grace of a stop.")
@common.common
def worker(
    processes: int | None, consumers: str | None, until_idle: bool, stop_within: float, database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Work on whatever is queued until stopped. SIGTERM or Ctrl-C: running steps finish; twice: at once."""
    from leasehold.documents.kinds import WORKFLOW
    from leasehold.worker import room
    from leasehold.worker.documents import FACTORY
    from leasehold.worker.keeper import Keeper, KeeperConfig
    from leasehold.worker.pools import check_kinds, parse_consumers

    chosen = common.settings(database, home, **{"ingest.processes": processes})
    if not 0 <= stop_within <= 86_400:
        raise UsageError(f"--stop-within {stop_within} must be between 0 and 86400 seconds.")
    pools = parse_consumers(consumers) if consumers else {"*": 2}
    check_kinds(pools, WORKFLOW)
    session = common.open_session(chosen, write=True)
    count, _ = hands(chosen)
    room.check(chosen.target, room.of_keeper(processes or count, sum(pools.values())))
    keeper = Keeper(
        KeeperConfig(
            target=chosen.target,
            kinds=FACTORY,
            kind_options={"step_timeout_s": chosen.ingest.step_timeout_s, "embed": asdict(chosen.embed)},
            memory_max_bytes=chosen.ingest.memory_mb * 1_000_000,
            processes=processes or count,
            consumers=pools,
            lease=chosen.lease,
        ),
        lambda happening: note(f"worker {happening.pid} {happening.what}: {happening.detail}"),
    )
    stop = threading.Event()
    on_signals(keeper, stop)
    keeper.start()
    while not stop.wait(0.5) and keeper.alive:
        if until_idle and not has_work(session):
            break
    keeper.stop(stop_within)
    ended, failed = keeper.counts()
    session.close()
    if as_json:
        emit("complete", ended=ended, failed=failed, restarts=keeper.restarts)
    else:
        note(f"{ended:,} steps ended, {failed:,} failed")
    return 0


def on_signals(keeper: Any, stop: threading.Event) -> None:
    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            keeper.stop_now()
        stop.set()

    signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGTERM, handle)


def has_work(session: Any) -> bool:
    from leasehold.kernel import groups

    states = [groups.state(session, group_id) for group_id in groups.open_ids(session)]
    return any(one is not None and one.ended < one.added for one in states)
