"""Many workers at once on an empty queue, and then a burst: how much they ask the database, and how soon they start.

python bench/herd.py --url URL --processes 20 --consumers 15

Counted by the server: transactions a second while nothing waits, while a stream of single adds wakes everybody and one
of them gets each, and for each step of a burst.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from kernel import fill

from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups

WORKER = Path(__file__).with_name("worker.py")
COMMITS = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"


def commits(session: Session) -> int:
    session.fetch("select pg_stat_clear_snapshot()")
    return int(session.fetch(COMMITS)[0][0])


def rate(session: Session, seconds: float) -> float:
    """Transactions a second of everybody else: what one measure costs is taken off."""
    before, started = commits(session), time.monotonic()
    time.sleep(seconds)
    return (commits(session) - before - 2) / (time.monotonic() - started)


def until_done(session: Session, group: int) -> None:
    while True:
        state = groups.state(session, group)
        if state is not None and state.completed:
            return
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--consumers", type=int, default=15)
    parser.add_argument("--steps", type=int, default=100_000)
    options = parser.parse_args()
    with Session(Target(url=options.url)) as session:
        migrate(session)
        session.fetch("set statement_timeout = 0")
        command = [sys.executable, str(WORKER), "--url", options.url, "join", "--consumers", str(options.consumers)]
        workers = [subprocess.Popen(command) for _ in range(options.processes)]
        try:
            started = time.monotonic()
            listeners = "select count(*) from pg_stat_activity where application_name = 'leasehold listener'"
            while session.fetch(listeners)[0][0] < options.processes:
                time.sleep(0.1)
            herd = f"{options.processes} workers of {options.consumers} consumers"
            print(f"{herd}: all there after {time.monotonic() - started:.1f} s")
            print(f"  as they settle: {rate(session, 3):,.0f} transactions/s")
            print(f"  idle: {rate(session, 10):,.0f} transactions/s", flush=True)
            workflow = groups.register(session, "herd", groups.chain("noop"))
            group, _ = groups.open_group(session, workflow)
            before, started = commits(session), time.monotonic()
            for _ in range(300):
                groups.add_all(session, group, [{}])
                time.sleep(0.01)
            took = time.monotonic() - started
            groups.seal(session, group)
            until_done(session, group)
            asked = (commits(session) - before) / took
            print(f"  a stream of {300 / took:,.0f} single adds a second: {asked:,.0f} transactions/s")
            before, started = commits(session), time.monotonic()
            until_done(session, fill(session, options.steps, ["noop"]))
            took, asked = time.monotonic() - started, commits(session) - before
            print(f"  a burst of {options.steps:,} steps: added and worked in {took:.1f} s, "
                  f"{asked / options.steps:.3f} transactions a step", flush=True)  # fmt: skip
        finally:
            for worker in workers:
                worker.terminate()


if __name__ == "__main__":
    main()
