"""Servers that are full, crowded or slow to forget, and hosts whose clocks are wrong: nothing is lost by any of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from known_work import Work, embedded_worker
from worker_help import SHORT, eventually, eventually_async

from leasehold import Done, Kind, Worker, WorkerConfig
from leasehold.chaos import workload
from leasehold.db import embedded
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import checks, groups
from leasehold.testing import FaultPlan, Proxy
from leasehold.worker.keeper import Keeper, KeeperConfig

pytestmark = pytest.mark.one_server
SOAK = bool(os.environ.get("LEASEHOLD_TEST_SOAK"))
EXPIRED = "select from leasehold.holder where holder_id = %s and expires_at < leasehold.now()"


@pytest.fixture
def place() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="leasehold-place-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextmanager
def own_server(home: Path) -> Iterator[Target]:
    embedded.ensure(home, idle_grace_s=5)
    try:
        yield Target(home=home)
    finally:
        embedded.stop(home)
        embedded.release(home)


def judged(work: Work) -> None:
    work.check()
    assert checks.violations(work.session) == []


def test_a_server_with_no_place_for_another_connection_costs_time_only(place):
    """53300: a worker loses all its connections while others have taken every place, for longer than its TTL."""
    with own_server(place) as target, ExitStack() as hogs:
        with psycopg.connect(target.conninfo(), autocommit=True) as connection:
            connection.execute("alter system set max_connections = 16")
        embedded.stop(place)
        with Session(target, patience_s=30) as session, Proxy(target.conninfo()) as proxy:
            migrate(session)
            work = Work(session)

            def connect_for_ever() -> None:
                while True:
                    hogs.enter_context(psycopg.connect(target.conninfo()))

            def take_every_place() -> None:
                with pytest.raises(psycopg.OperationalError, match="too many clients"):
                    connect_for_ever()

            async def story() -> None:
                async with embedded_worker(proxy.url) as worker:
                    work.submit()
                    await eventually_async(lambda: work.some(5))

                    def crowded_out() -> bool:
                        """Whoever comes back in between is put out again."""
                        take_every_place()
                        proxy.cut()
                        return bool(session.fetch(EXPIRED, (worker.holder_id,)))

                    await eventually_async(crowded_out)
                    hogs.close()
                    await eventually_async(lambda: work.done, within_s=40)

            asyncio.run(story())
            judged(work)


@contextmanager
def small_disk(home: Path, size_mb: int) -> Iterator[bool]:
    """*home* on a disk of its own that is soon full. False where nothing may be mounted."""
    home.mkdir(mode=0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0755", "leasehold-test", str(home)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(home)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(1 << 20))
        except OSError:
            pass
        try:
            while True:
                ballast.write(bytes(1 << 10))
        except OSError:
            pass


def test_a_full_disk_stops_the_work_and_when_there_is_room_again_nothing_was_lost(place):
    """53100. Where root may mount a small disk it is really full, the log of the server included, so that the server
    goes down and cannot recover until there is room; elsewhere the server's refusal is played at every statement."""
    home = place / "home"
    with small_disk(home, 320) as mounted, own_server(home) as target, Session(target, patience_s=60) as session:
        migrate(session)
        work = Work(session)
        url = target.conninfo()

        async def story() -> None:
            async with embedded_worker(target) as worker:
                work.submit()
                await eventually_async(lambda: work.some(5))
                with ExitStack() as room:
                    if mounted:
                        fill(home / "ballast")
                        room.callback((home / "ballast").unlink)
                    else:
                        room.enter_context(FaultPlan(1, {"53100": 1.0}).installed())
                    before = worker.counts.ended
                    await asyncio.sleep(0.5)
                    if mounted:
                        assert shutil.disk_usage(home).free < 100_000
                        with pytest.raises(psycopg.Error), psycopg.connect(url, autocommit=True) as one:
                            one.execute("create table big as select repeat('x', 1000) from generate_series(1, 100000)")
                    assert worker.counts.ended >= before
                await eventually_async(lambda: work.done, within_s=60)

        asyncio.run(story())
        judged(work)


JUMPS = """
import time
real = time.time
def wrong():
    seconds = real()
    return seconds + (3600 if int(seconds * 5) % 2 else -3600)
time.time = wrong
"""


def test_a_hosts_clock_that_is_an_hour_off_and_jumps_back_changes_nothing(
    kernel, session, database, tmp_path, monkeypatch
):
    """In a keeper and its children the wall clock jumps by two hours, five times a second, while they are kept."""
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + (3600 if int(real() * 5) % 2 else -3600))
    work = Work(session)
    config = KeeperConfig(target=Target(url=database), kinds=workload.FACTORY, processes=2, lease=SHORT, poll_max_s=0.2)
    kept = Keeper(config)
    kept.start()
    try:
        work.submit(200)
        eventually(lambda: work.done, within_s=40)
    finally:
        kept.stop(5)
    assert kept.restarts == 0
    assert session.fetch("select count(*) from leasehold.holder where end_reason = 'reaped'") == [(0,)]
    work.check()


def test_a_snapshot_that_is_held_open_for_the_whole_run_changes_nothing(kernel, session, database):
    work = Work(session)

    async def story() -> None:
        async with embedded_worker(database):
            work.submit(200)
            await eventually_async(lambda: work.done, within_s=40)

    with psycopg.connect(database) as reader:
        reader.execute("set transaction isolation level repeatable read")
        seen = reader.execute("select count(*) from leasehold.outcome").fetchone()
        asyncio.run(story())
        assert reader.execute("select count(*) from leasehold.outcome").fetchone() == seen
    work.check()


@pytest.mark.timeout(3600 if SOAK else 120)
def test_three_hundred_consumers_on_an_empty_queue_and_then_a_burst_run_every_step_once(kernel, session, database):
    """Six workers with 50 consumers each start together and find nothing; then everything comes at once."""
    steps = 1_000_000 if SOAK else 20_000
    ran: Counter[int] = Counter()

    async def run(step: object) -> Done:
        ran[step.step_id] += 1  # type: ignore[attr-defined]
        return Done()

    kind = Kind(name="work", timeout_s=30, run=run, page_max=200, prefetch=200, payload=False)

    def one() -> Worker:
        return Worker(WorkerConfig(database=database, kinds=[kind], consumers={"*": 50}, poll_max_s=0.5))

    async def story() -> None:
        workers = [one() for _ in range(6)]
        await asyncio.gather(*(worker.start() for worker in workers))
        group = kernel.group("work")
        for _ in range(steps // 10_000):
            await asyncio.to_thread(groups.add_all, session, group, [{}] * 10_000)
        kernel.seal(group)
        await eventually_async(lambda: sum(worker.counts.ended for worker in workers) >= steps, 3000 if SOAK else 60)
        await asyncio.gather(*(worker.stop() for worker in workers))

    asyncio.run(story())
    assert len(ran) == steps
    assert set(ran.values()) == {1}
