"""What it costs to hold much: one heartbeat for 10,000 leased steps, and giving back what a dead worker held.

Leasehold's own functions, beside what a hand-written queue would do: mark every running row as alive, and set every
running row back to ready. The two do less (no token, no proof of blame, no group), which is what the ratio tells.
"""

from __future__ import annotations

import statistics
import time

import psycopg

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import holders, steps

BEATS = 20
ALIVE = "alter table job add column if not exists alive_at timestamptz"
BEAT = "update job set alive_at = clock_timestamp() where id = any (%s::bigint[])"
BACK = "update job set state = 0 where state = 1 and id = any (%s::bigint[])"


def leasehold(url: str, held: int) -> tuple[float, float]:
    """Milliseconds of a heartbeat with *held* leases of one step each, and of reaping *held* steps in pages."""
    with Session(Target(url=url)) as session:
        (lane,) = steps.lanes(session, ["noop"])
        keeps = holders.join(session, kind="worker", name="keeps", ttl_s=600)
        for claim_no in range(1, held + 1):
            request = steps.LaneRequest(lane.lane_id, 1, 0, 600)
            assert steps.claim(session, keeps, claim_no, [request]).leases
        beats = [_timed(lambda: holders.heartbeat(session, [keeps])) for _ in range(BEATS)]
        assert len(holders.heartbeat(session, [keeps])[keeps].tokens) == held

        dies = holders.join(session, kind="worker", name="dies", ttl_s=1)
        for claim_no in range(1, -(-held // steps.PAGE_MAX) + 1):
            n = min(steps.PAGE_MAX, held - (claim_no - 1) * steps.PAGE_MAX)
            assert steps.claim(session, dies, claim_no, [steps.LaneRequest(lane.lane_id, n, 0, 600)]).leases
        time.sleep(1.2)  # past its time to live
        reaped: list[int] = []
        took = _timed(lambda: reaped.extend(len(one.returned) for one in holders.reap(session, callers=[keeps])))
        assert sum(reaped) == held, f"{sum(reaped)} of {held} steps came back"
        return statistics.median(beats), took


def ideal(url: str, held: int) -> tuple[float, float]:
    """The same by hand: *held* rows are running."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ALIVE)
        rows = connection.execute("update job set state = 1 where id <= %s returning id", (held,)).fetchall()
        ids = [row[0] for row in rows]
        assert len(ids) == held
        beats = [_timed(lambda: connection.execute(BEAT, (ids,))) for _ in range(BEATS)]
        return statistics.median(beats), _timed(lambda: connection.execute(BACK, (ids,)))


def _timed(work) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3
