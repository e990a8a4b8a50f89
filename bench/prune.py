"""What a prune costs those who work beside it: the longest a claim, a finish and an add take before and meanwhile.

python bench/prune.py --url URL [--runs 1000000] [--kept 0] [--seconds 10]

Fills one range with finished runs of one step each, written by SQL in bulk, and some that are open and so must stay.
Then two processes work: one claims and finishes pages of 20 and adds as many, one only claims and gives back, so that
what a claim waits for is seen apart. First for some seconds without a prune, then while everything is pruned.

A gap is from the end of one claim to the end of the next, so whatever keeps a process from claiming is in it. Gaps of a
loaded machine are its own: compare the two lines.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups, history, holders, steps

FINISHED = (
    "delete from leasehold.ready r using leasehold.lane l where l.lane_id = r.lane_id and l.group_id = %(group)s",
    "insert into leasehold.outcome (step_id, token, attempt, ended, at) select run_id * 1024, "
    "nextval('leasehold.token_seq'), 1, 'succeeded', now() from leasehold.run where group_id = %(group)s",
    "insert into leasehold.run_outcome (run_id, round, ended, at) select run_id, 1, 'succeeded', now() "
    "from leasehold.run where group_id = %(group)s",
    "insert into leasehold.event (name, group_id, run_id, at) select n, %(group)s, run_id, now() "
    "from leasehold.run, unnest('{run_start,run_end}'::text[]) n where group_id = %(group)s",
    "insert into leasehold.group_delta select %(group)s, count(*), 0, 0 from leasehold.run where group_id = %(group)s",
)
PAGE = 20


def group(session: Session, kind: str) -> int:
    return groups.open_group(session, groups.register(session, kind, groups.chain(kind)))[0]


def fill(session: Session, runs: int, kept: int) -> None:
    session.fetch("set statement_timeout = 0")
    made = group(session, "done")
    for start in range(0, runs, 20_000):
        groups.add_all(session, made, [{"n": start}] * min(20_000, runs - start))
    for statement in FINISHED:
        session.fetch(statement, {"group": made})
    groups.seal(session, made)
    if kept:
        groups.add_all(session, group(session, "open"), [{}] * kept)


def worker(url: str, pipe: Connection, finishes: bool) -> None:
    """Works until told to stop; sends (when, claim ended) and how long claims, finishes and adds took, in seconds."""
    kind = "busy" if finishes else "only claimed"
    took: dict[str, list[tuple[float, float]]] = {"gap": [], "claim": [], "finish": [], "add": []}
    with Session(Target(url=url), route="direct") as session:
        made = group(session, kind)
        groups.add_all(session, made, [{}] * 1000)
        lane = steps.lanes(session, [kind])[0].lane_id
        holder = holders.join(session, kind="worker", name=kind, ttl_s=3600)
        number, last_s, hint = 0, 0.0, 0
        pipe.send("ready")
        while not pipe.poll():
            number += 1
            started = time.perf_counter()
            reply = steps.claim(session, holder, number, [steps.LaneRequest(lane, PAGE, hint, 60)])
            ended = time.perf_counter()
            took["claim"].append((ended, ended - started))
            took["gap"].append((ended, ended - (last_s or started)))
            last_s = ended
            for lease in reply.leases:
                if not finishes:
                    steps.release(session, [(lease.token, step) for step, _ in lease.steps])
                    continue
                hint = lease.last_position or hint
                steps.finish_all(session, [steps.End(lease.token, step, "succeeded") for step, _ in lease.steps])
                took["finish"].append((time.perf_counter(), time.perf_counter() - ended))
                before = time.perf_counter()
                groups.add_all(session, made, [{}] * PAGE)
                took["add"].append((time.perf_counter(), time.perf_counter() - before))
    pipe.send(took)


def report(what: str, took: dict[str, list[tuple[float, float]]], since: float, until: float) -> None:
    parts = []
    for name, times in took.items():
        found = sorted(1e3 * t for at, t in times if since <= at <= until)
        if found:
            parts.append(f"{name} p50 {statistics.median(found):.1f}, p99 {found[int(len(found) * 0.99)]:.1f}, "
                         f"longest {found[-1]:.0f} ms of {len(found):,}")  # fmt: skip
    print(f"{what}: {'; '.join(parts)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--kept", type=int, default=0, help="open runs in the same range (1,000 at most are moved)")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with Session(Target(url=options.url), route="direct") as session:
        migrate(session)
        fill(session, options.runs, options.kept)
        session.fetch("select * from leasehold.close_ranges(0, true)")
        context = multiprocessing.get_context("spawn")
        pipes, processes = [], []
        for finishes in (True, False):
            ours, theirs = context.Pipe()
            processes.append(context.Process(target=worker, args=(options.url, theirs, finishes)))
            processes[-1].start()
            pipes.append(ours)
        for pipe in pipes:
            pipe.recv()
        began = time.perf_counter()
        time.sleep(options.seconds)
        at = time.perf_counter()
        done = history.prune(session, older_than_s=0, needed=lambda session, first, end: [])
        after = time.perf_counter()
        for pipe in pipes:
            pipe.send("stop")
        took = [pipe.recv() for pipe in pipes]
        for process in processes:
            process.join()
    for one in done.ranges:
        print(f"range {one.range}: {one.verdict}, {one.gone:,} runs gone, {one.kept:,} kept, {one.bytes / 1e6:,.0f} MB")
    print(f"pruned in {after - at:.1f} s, events: {len(done.events)} ranges")
    for name, one in zip(("claims, finishes, adds", "claims alone"), took, strict=True):
        report(f"{name}, before", one, began, at)
        report(f"{name}, meanwhile", one, at, after)


if __name__ == "__main__":
    main()
