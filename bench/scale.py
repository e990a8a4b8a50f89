"""What size costs: claims among a million waiting and ten million finished steps, heartbeats and reaps of much held.

python bench/scale.py --url URL claims --waiting 1000000 --finished 10000000
python bench/scale.py --url URL latency --waiting 100000
python bench/scale.py --url URL held --steps 10000

Claims are timed before and after the tables are filled, on the same server, on tables that were never analysed; the
buffers that a claim touches are counted too, since they do not depend on who else uses the machine.

`latency` is what a worker waits for when it asks: a look which lanes have work, then the claim and its commit, while
that many runs wait; in one group, and in a hundred. What is claimed is given back, so that as many wait all the time.
Beside it stands the server's own processor time of both, where its process can be looked at from here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

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


def latency(options: argparse.Namespace, session: Session) -> None:
    for groups_n in (1, 100):
        kind = f"waiting in {groups_n}"
        for _ in range(groups_n):
            fill(session, options.waiting // groups_n, [kind])
        asked = Claims(session)
        for n, times in ((1, options.times), (20, options.times), (500, options.times // 10)):
            took, cpu = zip(*(looked_and_claimed(asked, kind, n) for _ in range(times)), strict=True)
            line = f"{options.waiting:,} waiting in {groups_n} groups, look and claim of {n}: {parts(took)} ms"
            print(f"{line}; of the server's processor {parts(cpu)} ms" if max(cpu) else line, flush=True)


def looked_and_claimed(asked: Claims, kind: str, n: int) -> tuple[float, float]:
    """Milliseconds until the answer, and of the server's processor (0: cannot be seen from here)."""
    session = asked.session
    asked.number += 1
    before, started = spent_ms(session), time.perf_counter()
    lane = steps.lanes(session, [kind])[0].lane_id
    (lease,) = steps.claim(session, asked.holder, asked.number, [steps.LaneRequest(lane, n, 0, 60, True)]).leases
    took_ms, cpu_ms = (time.perf_counter() - started) * 1e3, spent_ms(session) - before
    steps.release(session, [(lease.token, step) for step, _ in lease.steps])
    return took_ms, cpu_ms


def spent_ms(session: Session) -> float:
    """The processor time that the session's server process has used."""
    try:
        path = Path(f"/proc/{session.connection.info.backend_pid}/schedstat")
        return int(path.read_text("ascii").split()[0]) / 1e6
    except (OSError, ValueError):
        return 0.0


def parts(took: Sequence[float]) -> str:
    ordered = sorted(took)
    return f"p50 {statistics.median(ordered):.2f}, p99 {ordered[int(len(ordered) * 0.99)]:.2f}, worst {ordered[-1]:.2f}"


def held(options: argparse.Namespace, session: Session) -> None:
    def hold(page: int) -> int:
        fill(session, options.steps, [f"held by {page}"])  # what a dead holder gives back may be claimed alone only
        lane = lane_of(session, f"held by {page}")
        holder = holders.join(session, kind="worker", name=f"pages of {page}", ttl_s=3600)
        for number in range(1, options.steps // page + 1):
            steps.claim(session, holder, number, [steps.LaneRequest(lane, page, 0, 3600)])
        assert len(holders.heartbeat(session, [holder])[holder].tokens) == options.steps // page
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
    parser.add_argument("what", choices=["claims", "latency", "held"])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--finished", type=int, default=10_000_000)
    options = parser.parse_args()
    with Line(Target(url=options.url)) as session:
        migrate(session)
        {"claims": claims, "latency": latency, "held": held}[options.what](options, session)


if __name__ == "__main__":
    main()
