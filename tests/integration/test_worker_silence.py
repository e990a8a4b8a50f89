"""A worker that is alive and claims nothing while work waits says so by itself: log, status, doctor."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import psycopg
import pytest
from worker_help import SHORT, ended, eventually_async, submit

from leasehold import Kind, Worker, WorkerConfig
from leasehold.db import session as sessions
from leasehold.db.target import Target
from leasehold.doctor import Finding, Subject, Verdict, run
from leasehold.doctor.workers import check_workers
from leasehold.kernel import holders, pauses, silences
from leasehold.testing.stories import Kernel
from leasehold.types import Done
from leasehold.worker import silence

pytestmark = [pytest.mark.one_server, pytest.mark.anyio]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch's times, a hundred times shorter; what it does is the same."""
    monkeypatch.setattr(silence, "SILENT_S", 0.4)
    monkeypatch.setattr(silence, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(silence, "UNANSWERED_S", 0.2)


@pytest.fixture
def claims_meet(monkeypatch: pytest.MonkeyPatch) -> Iterator[list]:
    """What happens before each claim: the functions in this list."""
    happens: list = []

    def fault(moment: str, statement: str) -> None:
        if moment == "before" and "leasehold.claim" in statement:
            for one in happens:
                one()

    monkeypatch.setattr(sessions, "fault", fault)
    yield happens
    happens.clear()


def worker(database: str, *kinds: str) -> Worker:
    made = [Kind(name=kind, timeout_s=30, run=lambda step: Done()) for kind in kinds]
    return Worker(WorkerConfig(database=database, kinds=made, lease=SHORT, poll_max_s=0.05))


def silent(kernel: Kernel) -> list[str]:
    return [one.silent for one in holders.living(kernel.session) if one.silent]


def look(database: str) -> list[Finding]:
    return run(Subject(target=Target(url=database)), {"workers": check_workers})


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one for one in caplog.messages if "claims nothing while work waits" in one]


async def test_work_of_kinds_that_nobody_serves_is_reported_once_and_taken_back_when_it_is_done(
    database: str, kernel: Kernel, caplog: pytest.LogCaptureFixture
):
    """In the log, in the holders that status shows, and red in the doctor; a second worker then does the work."""
    steps = submit(kernel, [{}] * 3, "gentle")
    with caplog.at_level(logging.WARNING, "leasehold.worker"):
        async with worker(database, "rough"):
            await eventually_async(lambda: silent(kernel))
            assert silent(kernel) == ["it does not serve what waits (gentle); it serves rough"]
            (found,) = look(database)
            assert found.verdict == Verdict.BAD
            assert "gentle" in found.sentence
            assert len(warned(caplog)) == 1
            async with worker(database, "gentle"):
                await eventually_async(lambda: ended(kernel, steps))
                await eventually_async(lambda: not silent(kernel))
            await eventually_async(lambda: look(database)[0].verdict == Verdict.OK)


async def test_a_pause_is_named_as_the_reason(database: str, kernel: Kernel):
    pauses.pause(kernel.session, "kind", "gentle", by="ann")
    submit(kernel, [{}], "gentle")
    async with worker(database, "gentle"):
        await eventually_async(lambda: silent(kernel))
        assert "kind gentle is paused by ann" in silent(kernel)[0]
        pauses.resume(kernel.session, "kind", "gentle")
        await eventually_async(lambda: not silent(kernel))


async def test_claims_that_fail_are_reported_though_heartbeats_succeed(
    database: str, kernel: Kernel, claims_meet: list
):
    def fail() -> None:
        raise psycopg.OperationalError("fault: claims only")

    made = worker(database, "gentle")
    async with made:
        made._claims.patience_s = 0.05
        claims_meet.append(fail)
        steps = submit(kernel, [{}], "gentle")
        await eventually_async(lambda: "its claims fail; its log has the error" in silent(kernel))
        claims_meet.clear()
        await eventually_async(lambda: ended(kernel, steps))
        await eventually_async(lambda: not silent(kernel))


async def test_a_claim_thread_that_gets_no_answer_is_reported(database: str, kernel: Kernel, claims_meet: list):
    """Nothing fails and nothing times out: the thread just waits."""
    go_on = threading.Event()
    claims_meet.append(lambda: go_on.wait(20) and None)
    async with worker(database, "gentle"):
        steps = submit(kernel, [{}], "gentle")
        await eventually_async(lambda: "its claim gets no answer from the database" in silent(kernel))
        go_on.set()
        await eventually_async(lambda: ended(kernel, steps))


async def test_a_worker_that_works_or_has_nothing_to_do_is_never_accused(
    database: str, kernel: Kernel, caplog: pytest.LogCaptureFixture
):
    """An idle one, and one whose consumers are all busy for longer than the watch waits while more work waits."""
    release = threading.Event()
    busy = Kind(name="gentle", timeout_s=30, run=lambda step: release.wait(20) and Done())
    looks: list[int] = []
    with caplog.at_level(logging.WARNING, "leasehold.worker"):
        async with (
            worker(database, "rough") as idle,
            Worker(
                WorkerConfig(database=database, kinds=[busy], consumers={"*": 1}, lease=SHORT, poll_max_s=0.05)
            ) as full,
        ):
            for one in (idle, full):
                assert one._beats is not None
                count_looks(one._beats._watch, looks)
            steps = submit(kernel, [{}], "gentle")
            await eventually_async(lambda: kernel.state(steps[0]) == "leased")
            already = len(looks)
            await eventually_async(lambda: len(looks) > already + 20)
            more = submit(kernel, [{}], "gentle")
            already = len(looks)
            await eventually_async(lambda: len(looks) > already + 8)
            assert full.holder_id not in {one.holder_id for one in holders.living(kernel.session) if one.silent}
            release.set()
            await eventually_async(lambda: ended(kernel, steps + more))
    assert not [one for one in warned(caplog) if f"worker {full.holder_id} " in one]


def count_looks(watch: silence.Watch, looks: list[int]) -> None:
    before = watch._say

    def say(*args: object) -> None:
        looks.append(1)
        before(*args)  # type: ignore[arg-type]

    watch._say = say  # type: ignore[method-assign]


async def test_what_waits_is_told_by_kind_and_obstacle(kernel: Kernel):
    submit(kernel, [{}] * 2, "gentle", wake=False)
    submit(kernel, [{}], "rough", wake=False)
    pauses.pause(kernel.session, "kind", "rough", by="ann")
    found = {one.kind: one.held_back for one in silences.waiting(kernel.session)}
    assert found == {"gentle": "", "rough": "kind rough is paused by ann"}


async def test_an_ended_holder_has_no_note(database: str, kernel: Kernel):
    holder = holders.join(kernel.session, kind="worker", name="w", ttl_s=30)
    silences.note(kernel.session, {holder: "because"})
    silences.note(kernel.session, {holder: "because"})
    assert silent(kernel) == ["because"]
    holders.leave(kernel.session, holder)
    silences.note(kernel.session, {holder: "again"})
    assert kernel.session.fetch("select count(*) from leasehold.silence") == [(0,)]
