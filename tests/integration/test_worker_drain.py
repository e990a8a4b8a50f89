"""Drained workers finish what they hold and claim no more, on any host, and end or stay as they were told.

Method: real children under a keeper. What they were told is written by another session, as from another host; steps
wait at a gate, so that what is held and what waits is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from worker_help import HERE, SHORT, ended, eventually, eventually_async, keeper_config, noted, submit

from leasehold import Kind, Worker, WorkerConfig
from leasehold.kernel import holders
from leasehold.testing.stories import Kernel
from leasehold.types import Done
from leasehold.worker.keeper import Happening, Keeper
from leasehold.worker.standing import Doing

pytestmark = pytest.mark.one_server


@pytest.fixture
def keep(database, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with contextlib.ExitStack() as stack:

        def begin(**options) -> tuple[Keeper, list[Happening]]:
            happenings: list[Happening] = []
            keeper = Keeper(keeper_config(database, **options), happenings.append)
            stack.callback(keeper.stop, 0.0)
            stack.callback((tmp_path / "gate").touch)
            keeper.start()
            return keeper, happenings

        yield begin


def workers(kernel: Kernel) -> list[holders.Living]:
    return [one for one in holders.living(kernel.session) if one.kind == "worker"]


def ready(kernel: Kernel, n: int) -> list[holders.Living]:
    """*n* workers that have said what they serve: they run."""
    return eventually(lambda: len(found := [one for one in workers(kernel) if one.kinds]) == n and found)


def knows(keeper: Keeper, worker: holders.Living) -> bool:
    """Whether the worker says that it is drained."""
    standing = keeper._standings().get(worker.holder_id)
    return standing is not None and standing.doing is Doing.DRAINED


def gated(folder: Path, n: int) -> list[dict[str, str]]:
    return [{"log": str(folder / "log"), "until": str(folder / "gate")} for _ in range(n)]


def test_a_drained_worker_finishes_what_it_holds_and_ends_and_the_others_go_on(kernel, keep, tmp_path):
    keeper, _ = keep(processes=2, consumers={"*": 2})
    ready(kernel, 2)
    held = submit(kernel, gated(tmp_path, 4), "gentle")
    eventually(lambda: len(noted(tmp_path / "log")) == 4)
    one, other = workers(kernel)
    assert holders.drain(kernel.session, [one.holder_id], holders.END) == [one.holder_id]
    eventually(lambda: knows(keeper, one))
    waiting = submit(kernel, [{"log": str(tmp_path / "log")} for _ in range(4)], "gentle")
    (tmp_path / "gate").touch()
    eventually(lambda: ended(kernel, held + waiting))
    eventually(lambda: [one.holder_id for one in workers(kernel)] == [other.holder_id])
    assert {kernel.attempt(step) for step in held} == {1}
    assert {pid for step, _, pid, _ in noted(tmp_path / "log") if step in waiting} == {other.pid}
    assert keeper.alive
    assert not keeper.drained
    holders.drain(kernel.session, [other.holder_id], holders.END)
    eventually(lambda: not keeper.alive)
    assert keeper.drained
    assert workers(kernel) == []
    assert keeper.restarts == 0


def test_an_idle_one_stays_and_claims_nothing_until_it_is_resumed_and_so_does_its_successor(kernel, keep, tmp_path):
    """A child that dies while it is drained is replaced by one that is drained too."""
    keeper, _ = keep(processes=1)
    (worker,) = ready(kernel, 1)
    holders.drain(kernel.session, [worker.holder_id], holders.IDLE, by="ann")
    eventually(lambda: knows(keeper, worker))
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: workers(kernel) and workers(kernel)[0].holder_id != worker.holder_id)
    (successor,) = ready(kernel, 1)
    assert (successor.drain, successor.drained_by) == ("idle", "its keeper, as before")
    eventually(lambda: knows(keeper, successor))
    steps = submit(kernel, [{"log": str(tmp_path / "log")}], "gentle")
    asked = workers(kernel)[0].alive_s
    eventually(lambda: workers(kernel)[0].alive_s > asked + 0.6)  # many of its looks, were it to look
    assert kernel.state(steps[0]) == "ready"
    holders.drain(kernel.session, [successor.holder_id], None)
    eventually(lambda: ended(kernel, steps))


@pytest.mark.anyio
async def test_an_embedded_worker_is_drained_and_resumed_too(database: str, kernel: Kernel):
    kinds = [Kind(name="gentle", timeout_s=30, run=lambda step: Done())]
    worker = Worker(WorkerConfig(database=database, kinds=kinds, lease=SHORT, poll_max_s=0.05))
    async with worker:
        holders.drain(kernel.session, [worker.holder_id], holders.IDLE)
        await eventually_async(lambda: worker._drain == "idle")
        steps = submit(kernel, [{}], "gentle")
        holders.drain(kernel.session, [worker.holder_id], None)
        await eventually_async(lambda: ended(kernel, steps))
        holders.drain(kernel.session, [worker.holder_id], holders.END)
        await worker.wait()
    assert workers(kernel) == []


def test_a_keeper_that_has_no_worker_of_its_own_yet_is_not_drained(kernel, keep):
    """One that makes calls of hooks only starts its child with the first of them."""
    keeper, _ = keep(processes=0)
    eventually(lambda: keeper._ticked_s > 0)
    assert not keeper.drained
    assert keeper.alive
