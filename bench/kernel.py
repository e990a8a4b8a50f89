"""No-op steps through claim and finish, the kernel alone: no worker, pages of 500 (or --page)."""

from __future__ import annotations

import argparse
import threading
import time

from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import checks, groups, holders, steps


def fill(session: Session, n: int, kinds: list[str]) -> int:
    workflow = groups.register(session, "bench " + " ".join(kinds), groups.chain(*kinds))
    group, _ = groups.open_group(session, workflow)
    for start in range(0, n, 5000):
        items = [{"n": i} for i in range(start, min(n, start + 5000))]
        session.run(lambda connection, items=items: groups.add(connection, group, items))
    groups.seal(session, group)
    return group


def drain(target: Target, kinds: list[str], page: int, totals: list[int]) -> None:
    with Session(target) as session:
        holder = holders.join(session, kind="worker", name="bench", ttl_s=60)
        hints: dict[int, int] = {}
        claim_no = 0
        while True:
            found = steps.lanes(session, kinds, hints) or steps.lanes(session, kinds)
            if not found:
                return
            for lane in sorted(found, key=lambda lane: -lane.stage):
                claim_no += 1
                request = steps.LaneRequest(lane.lane_id, page, hints.get(lane.lane_id, 0), 60)
                for lease in steps.claim(session, holder, claim_no, [request]).leases:
                    hints[lane.lane_id] = lease.last_position or 0
                    ends = [steps.End(lease.token, step_id, "succeeded") for step_id, _ in lease.steps]
                    steps.finish_all(session, ends)
                    totals.append(len(ends))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--page", type=int, default=500)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--chain", type=int, default=1)
    parser.add_argument("--hold-snapshot", action="store_true", help="keep an old snapshot open all the while")
    options = parser.parse_args()
    target = Target(url=options.url)
    kinds = [f"k{i}" for i in range(options.chain)]
    with Session(target) as session:
        migrate(session)
        started = time.perf_counter()
        group = fill(session, options.steps // options.chain, kinds)
        filled = time.perf_counter() - started
        if options.hold_snapshot:
            holder = Session(target)
            holder.connection.execute("set idle_in_transaction_session_timeout = 0")
            holder.connection.execute("begin isolation level repeatable read")
            holder.connection.execute("select count(*) from leasehold.ready")
        totals: list[int] = []
        threads = [
            threading.Thread(target=drain, args=(target, kinds, options.page, totals)) for _ in range(options.clients)
        ]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - started
        groups.fold(session, group)
        state = groups.state(session, group)
        assert state is not None
        assert state.completed, state
        print(
            f"add {options.steps / filled:,.0f} steps/s; drain {sum(totals):,} steps, {options.clients} clients, "
            f"pages of {options.page}, chains of {options.chain}{', old snapshot held' * options.hold_snapshot}: "
            f"{sum(totals) / took:,.0f} steps/s"
        )
        broken = checks.violations(session) if options.steps <= 200_000 else []
        assert not broken, broken[:5]


if __name__ == "__main__":
    main()
