"""What size costs: claims among a million waiting and ten million finished steps, heartbeats and reaps of much held.

python bench/scale.py --url URL claims --waiting 1000000 --finished 10000000
python bench/scale.py --url URL held --steps 10000

Claims are timed before and after the tables are filled, on the same server, on tables that were never analysed; the
buffers that a claim touches are counted too, since they do not depend on who else uses the machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from kernel import fill

from leasehold.db.line import Line
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import holders, steps

FINISHED = """
insert into leasehold.outcome (step_id, token, attempt, ended, at)
select run * 1024, run, 1, 'succeeded', now() from generate_series(%s::bigint, %s::bigint) run
"""
RANGE = 1_048_576
CLAIM = "select * from leasehold.claim(%s, %s, %s::bigint[], %s::integer[], %s::bigint[], %s::double precision[])"
TABLES = ("ready", "blocked", "lease", "holder", "delayed")


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


class Claims:
    """Claims of one holder, each released again, so that what waits stays as it is."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.holder = holders.join(session, kind="worker", name="bench", ttl_s=3600)
        self.number = 0

    def once(self, lane: int, n: int, hint: int = 0) -> tuple[float, int]:
        self.number += 1
        request = steps.LaneRequest(lane, n, hint, 60)
        started = time.perf_counter()
        (lease,) = steps.claim(self.session, self.holder, self.number, [request]).leases
        took_ms = (time.perf_counter() - started) * 1e3
        steps.finish_all(self.session, [steps.End(lease.token, step, "succeeded") for step, _ in lease.steps])
        return took_ms, lease.last_position or 0

    def many(self, lane: int, n: int, times: int) -> list[float]:
        took, hint = [], 0
        for _ in range(times):
            took_ms, hint = self.once(lane, n, hint)
            took.append(took_ms)
        return sorted(took)

    def buffers(self, lane: int, n: int) -> int:
        self.number += 1
        asked = (self.holder, self.number, [lane], [n], [0], [60.0])
        found = self.session.fetch(f"explain (analyze, buffers, format json) {CLAIM}", asked)[0][0]
        plan = (found if isinstance(found, list) else json.loads(found))[0]["Plan"]
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def lane_of(session: Session, kind: str) -> int:
    return steps.lanes(session, [kind])[0].lane_id


def report(claims: Claims, what: str, lane: int) -> None:
    for n, times in ((20, 300), (500, 20)):
        took = claims.many(lane, n, times)
        p99 = took[int(len(took) * 0.99)]
        print(f"{what}: claims of {n}: p50 {statistics.median(took):.2f} ms, p99 {p99:.2f} ms, least {took[0]:.2f} ms, "
              f"{claims.buffers(lane, n):,} buffers", flush=True)  # fmt: skip


def claims(options: argparse.Namespace, session: Session) -> None:
    fill(session, 20_000, ["little"])
    for table in TABLES:
        session.fetch(f"alter table leasehold.{table} set (autovacuum_enabled = off)")
    asked = Claims(session)
    asked.many(lane_of(session, "little"), 20, 20)
    report(asked, "20,000 waiting", lane_of(session, "little"))
    fill(session, 100_000, ["some"])
    report(asked, "120,000 waiting", lane_of(session, "some"))
    for start in range(0, options.finished, RANGE):
        first = 100 * RANGE + start
        session.fetch("select leasehold.ensure_partitions(%s)", (first,))
        session.fetch("set statement_timeout = 0")
        session.fetch(FINISHED, (first, first + min(RANGE, options.finished - start) - 1))
    fill(session, options.waiting, ["much"])
    report(asked, f"{options.waiting + 120_000:,} waiting, {options.finished:,} finished", lane_of(session, "much"))


def held(options: argparse.Namespace, session: Session) -> None:
    def hold(page: int) -> int:
        fill(session, options.steps, [f"held by {page}"])  # what a dead holder gives back may be claimed alone only
        lane = lane_of(session, f"held by {page}")
        holder = holders.join(session, kind="worker", name=f"pages of {page}", ttl_s=3600)
        for number in range(1, options.steps // page + 1):
            steps.claim(session, holder, number, [steps.LaneRequest(lane, page, 0, 3600)])
        assert len(holders.heartbeat(session, [holder])[holder]) == options.steps // page
        return holder

    for page in (500, 1):
        holder = hold(page)
        beats = sorted(timed(lambda: holders.heartbeat(session, [holder])) for _ in range(50))  # noqa: B023
        print(f"{options.steps:,} steps held in {options.steps // page:,} leases: heartbeat p50 "
              f"{statistics.median(beats):.2f} ms, p99 {beats[-1]:.2f} ms; ", end="")  # fmt: skip
        ended = timed(lambda: holders.end_dead(session, holder, reason="bench"))  # noqa: B023
        print(f"given back after its death in {ended:.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("what", choices=["claims", "held"])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--finished", type=int, default=10_000_000)
    options = parser.parse_args()
    with Line(Target(url=options.url)) as session:
        migrate(session)
        {"claims": claims, "held": held}[options.what](options, session)


if __name__ == "__main__":
    main()
