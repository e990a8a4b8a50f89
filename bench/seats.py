"""What seats cost: looking, claiming and finishing a page without a resource, behind a lock, behind a share, and beside
steps that stand behind a taken lock and a full share.

The ways take turns, round by round, so that a busy machine tells on all of them.
"""

from __future__ import annotations

import argparse
import statistics
import time

from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups, holders, seats, steps


def fill(session: Session, kind: str, n: int, key: str | None = None) -> None:
    workflow = groups.register(session, f"bench {kind}", groups.chain(kind))
    group, _ = groups.open_group(session, workflow, seats={kind: key} if key else None)
    for start in range(0, n, 5000):
        items = [{"n": i} for i in range(start, min(n, start + 5000))]
        session.run(lambda connection, items=items: groups.add(connection, group, items))
    groups.seal(session, group)


class Drainer:
    """One holder that claims and finishes pages; times in ms, by what was done."""

    def __init__(self, session: Session, page: int) -> None:
        self.session, self.page = session, page
        self.holder = holders.join(session, kind="worker", name="bench", ttl_s=3600)
        self.claims = 0
        self.hints: dict[int, int] = {}
        self.times: dict[str, list[float]] = {}

    def timed(self, name, call):
        began = time.perf_counter()
        answer = call()
        self.times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        return answer

    def turn(self, name: str, kind: str, also: tuple[str, ...] = ()) -> None:
        lanes = self.timed(f"{name}: look", lambda: steps.lanes(self.session, [kind, *also]))
        lane = next(one for one in lanes if one.kind == kind)
        self.claims += 1
        request = steps.LaneRequest(lane.lane_id, self.page, self.hints.get(lane.lane_id, 0), 3600)
        number = self.claims
        (lease,) = self.timed(
            f"{name}: claim", lambda: steps.claim(self.session, self.holder, number, [request]).leases
        )
        self.hints[lane.lane_id] = lease.last_position or 0
        ends = [steps.End(lease.token, step_id, "succeeded") for step_id, _ in lease.steps]
        self.timed(f"{name}: finish", lambda: steps.finish_all(self.session, ends))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--page", type=int, default=100)
    parser.add_argument("--behind", type=int, default=200_000)
    options = parser.parse_args()
    with Session(Target(url=options.url)) as session:
        migrate(session)
        n = options.rounds * options.page * 2
        for kind, key in (("free", None), ("locked", "model:bench"), ("shared", None), ("beside", None)):
            fill(session, kind, n, key)
        seats.set_limit(session, "kind:shared", options.page)
        drainer = Drainer(session, options.page)
        for _ in range(options.rounds):
            for name in ("free", "locked", "shared"):
                drainer.turn(name, name)
        blocker = holders.join(session, kind="cli", name="blocker", ttl_s=3600)
        seats.take(session, blocker, "model:taken")
        fill(session, "waits", options.behind, "model:taken")
        fill(session, "crowd", options.behind)
        seats.set_limit(session, "kind:crowd", 0)
        for _ in range(options.rounds):
            drainer.turn("free", "free")
            drainer.turn("beside", "beside", ("waits", "crowd"))
        print(f"pages of {options.page}, median of {options.rounds} in ms; beside: {options.behind:,} steps behind a")
        print(f"taken lock, {options.behind:,} behind a full share")
        for name in ("free", "locked", "shared", "beside"):
            found = [
                (what, statistics.median(drainer.times[f"{name}: {what}"])) for what in ("look", "claim", "finish")
            ]
            print(f"  {name:<7} " + ", ".join(f"{what} {ms:.2f}" for what, ms in found))


if __name__ == "__main__":
    main()
