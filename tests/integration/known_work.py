"""Work of a known result, for tests that hurt workers: the fault lab's workload, and whether it came out as it must."""

from __future__ import annotations

from worker_help import SHORT

from leasehold import Worker, WorkerConfig
from leasehold.chaos import workload
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.options import LeaseOptions

RUNS = 60


def embedded_worker(database: str | Target, lease: LeaseOptions = SHORT) -> Worker:
    target = database if isinstance(database, Target) else Target(url=database)
    kinds = workload.kinds(target, {})
    return Worker(WorkerConfig(database=target, kinds=kinds, lease=lease, poll_max_s=0.2))


class Work:
    """Runs of the lab's workload, and whether they came out as they must."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.groups: list[tuple[str, int, int]] = []
        workload.prepare(session)

    def submit(self, runs: int = RUNS) -> None:
        for name in ("chain", "fork"):
            first = sum(count for *_, count in self.groups)
            workload.submit(self.session, f"group {first}", name, first, runs // 2)
            self.groups.append((name, first, runs // 2))

    @property
    def done(self) -> bool:
        ended, added, _, still_open = self.session.fetch(load("leasehold.chaos", "progress"))[0]
        return bool(ended == added and not still_open)

    def some(self, n: int) -> bool:
        return int(self.session.fetch(load("leasehold.chaos", "progress"))[0][0]) >= n

    def check(self) -> None:
        rows = [(int(n), int(ix), str(value)) for n, ix, value in
                self.session.fetch(load("leasehold.chaos", "effects"))]  # fmt: skip
        assert rows == list(workload.planned(self.groups))
        assert self.session.fetch(load("leasehold.chaos", "effects_unbalanced")) == []
