"""A worker whose database server is stopped, or killed, in the middle of its work."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from test_worker_embedded import Witness
from worker_help import eventually_async, submit

from leasehold import Worker, WorkerConfig
from leasehold.db import embedded
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.testing.stories import Kernel

pytestmark = pytest.mark.one_server


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    place = tmp_path_factory.mktemp("server")
    embedded.ensure(place, idle_grace_s=5)
    yield place
    embedded.stop(place)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_each_step_succeeds_once_though_the_server_is_stopped_or_killed_in_the_middle(home, how):
    target = Target(home=home)
    witness = Witness(work=lambda step: asyncio.sleep(0.01), page_max=10, prefetch=10)
    with Session(target, patience_s=30) as session:
        migrate(session)
        kernel = Kernel(session)
        steps = submit(kernel, [{"n": n} for n in range(300)], "work")
        backend = session.fetch("select pg_backend_pid()")[0][0]
        postmaster = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])

        async def story():
            async with Worker(WorkerConfig(database=target, kinds=[witness.kind], consumers={"*": 4})) as worker:
                await eventually_async(lambda: worker.counts.ended >= 50)
                if how == "killed":
                    os.kill(postmaster, signal.SIGKILL)
                else:
                    await asyncio.to_thread(embedded.stop, home)
                await eventually_async(lambda: worker.counts.ended == 300, within_s=40)
                assert worker.counts.lost == worker.counts.failed == 0

        asyncio.run(story())
        assert witness.runs == Counter(steps)
        assert all(kernel.outcomes(step) == [("succeeded", None)] for step in steps)
        kernel.check()
