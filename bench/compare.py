"""What an edit of the kernel's functions saves: the server's processor time of a step, of several versions in one run.

git worktree add ../before main
python bench/compare.py ../before/src/leasehold/kernel/sql src/leasehold/kernel/sql
python bench/compare.py BEFORE AFTER --groups 100 --finish 2000
python bench/compare.py BEFORE AFTER --page 1 --finish 1 --round 500

A version is a folder of .sql files; its functions replace those of this checkout. Each has a database of its own on a
server of its own, and they take turns; a figure is the median of the rounds, in microseconds a step. Processor time and
not time: who else uses the machine changes it by a tenth, not by five times. The server must run on this machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parent / "queue"))
from server import BenchServer

from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import checks, groups, holders, steps

T = TypeVar("T")
ROOT = Path(__file__).parents[1]


class Version:
    def __init__(self, server: BenchServer, name: str, folder: Path, options: argparse.Namespace) -> None:
        server.create(name)
        self.session, self.options, self.folder = Session(Target(url=server.url(name))), options, folder
        migrate(self.session)
        for file in sorted(folder.glob("*.sql")):
            if "create or replace function" in (text := file.read_text("utf-8")):
                self.session.connection.execute(text)
        self.pid = self.session.connection.info.backend_pid
        self.kinds = [f"k{number}" for number in range(options.chain)]
        workflow = groups.register(self.session, "bench", groups.chain(*self.kinds))
        self.groups = [groups.open_group(self.session, workflow)[0] for _ in range(options.groups)]
        self.holder = holders.join(self.session, kind="worker", name="bench", ttl_s=3600)
        self.number, self.hints = 0, dict[int, int]()
        self.spent_us: defaultdict[str, float] = defaultdict(float)
        self.rounds: defaultdict[str, list[float]] = defaultdict(list)

    def timed(self, what: str, call: Callable[[], T]) -> T:
        before = self.processor_us()
        answer = call()
        self.spent_us[what] += self.processor_us() - before
        return answer

    def processor_us(self) -> float:
        return int(Path(f"/proc/{self.pid}/schedstat").read_text("ascii").split()[0]) / 1e3

    def play(self) -> None:
        """Add a round's runs, and work them off."""
        runs = self.options.round // self.options.groups
        for group in self.groups:
            for start in range(0, runs, 5000):
                page = [{"n": number} for number in range(start, min(runs, start + 5000))]
                self.timed("add", lambda group=group, page=page: groups.add_all(self.session, group, page))
        total = runs * self.options.groups * self.options.chain
        ends: list[steps.End] = []
        left = total
        while left:
            found = self.claim() if len(ends) < self.options.finish else []
            ends += found
            if found and len(ends) < self.options.finish:
                continue
            page, ends = ends[: self.options.finish], ends[self.options.finish :]
            verdicts = self.timed("finish", lambda page=page: steps.finish_all(self.session, page))
            assert set(verdicts) == {"accepted"}, verdicts
            left -= len(page)
        for group in self.groups:
            groups.fold(self.session, group)
        for what, spent in self.spent_us.items():
            self.rounds[what].append(spent / total)
        self.spent_us.clear()

    def claim(self) -> list[steps.End]:
        """A page of the lane that stands last in its workflow, as successes."""
        lanes = self.timed("look", lambda: steps.lanes(self.session, self.kinds, self.hints))
        if not lanes:
            return []
        lane = max(lanes, key=lambda lane: lane.stage).lane_id
        self.number += 1
        request = steps.LaneRequest(lane, self.options.page, self.hints.get(lane, 0), 60, items=True)
        claimed = self.timed("claim", lambda: steps.claim(self.session, self.holder, self.number, [request]))
        self.hints |= {lease.lane_id: lease.last_position or 0 for lease in claimed.leases}
        return [steps.End(lease.token, step, "succeeded") for lease in claimed.leases for step, _ in lease.steps]

    def report(self) -> str:
        figures = {what: statistics.median(rounds[1:]) for what, rounds in self.rounds.items()}
        shown = ", ".join(f"{what} {figures[what]:.2f}" for what in ("add", "look", "claim", "finish"))
        both = figures["claim"] + figures["finish"]
        return f"{shown}; claim and finish {both:.2f} µs of the server's processor a step: {self.folder}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=8, help="besides the first, which does not count")
    parser.add_argument("--round", type=int, default=10_000, help="runs of one round")
    parser.add_argument("--page", type=int, default=500)
    parser.add_argument("--finish", type=int, default=500)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--chain", type=int, default=1)
    options = parser.parse_args()
    home = Path(os.environ.get("LEASEHOLD_HOME", ROOT / ".bench"))
    server = BenchServer(home / "compare-server")
    try:
        versions = [Version(server, f"v{n}", folder, options) for n, folder in enumerate(options.versions)]
        for turn in range(options.rounds + 1):
            for version in versions if turn % 2 else reversed(versions):
                version.play()
        for version in versions:
            print(version.report())
            assert checks.violations(version.session) == []
    finally:
        server.close()


if __name__ == "__main__":
    main()
