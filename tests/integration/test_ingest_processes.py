"""Ingests with real worker processes: killed, beside each other, with more or fewer hands; one result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from documents_by_hand import Library

from leasehold.options import LeaseOptions
from leasehold.worker.ingest import Ingest, Progress

pytestmark = pytest.mark.one_server

QUICK = LeaseOptions(ttl_s=2.0, heartbeat_s=0.25)


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = Library(database, tmp_path / "folder")
    made.folder.mkdir()
    for number in range(150):
        words = " ".join(f"word{n * number % 97} of {number}" for n in range(number % 40 + 1))
        made.write(f"{number % 7}/{number:03}.md", f"# Title {number % 11}\n\n{words}\n")
    yield made
    made.session.close()


@pytest.fixture
def undisturbed(library: Library, databases: object) -> Iterator[str]:
    """The digest of the same folder, ingested by hand in another database."""
    with databases.clone() as url:  # type: ignore[attr-defined]
        other = Library(url, library.folder)
        other.ingest()
        yield other.digest()
        other.session.close()


def test_an_ingest_killed_in_the_middle_and_resumed_ends_in_the_same_digest(library: Library, undisturbed: str) -> None:
    """kill -9 of the whole ingest once some files are stored; its children die with it, its leases lapse."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from documents_by_hand import Library\n"
        "from leasehold.options import LeaseOptions; from leasehold.worker.ingest import Ingest\n"
        "library = Library(sys.argv[1], Path(sys.argv[2]))\n"
        "Ingest(library.config(lease=LeaseOptions(ttl_s=2.0, heartbeat_s=0.25)),\n"
        "       on_progress=lambda now: print(now.ended, flush=True)).run()\n"
    )
    victim = subprocess.Popen(
        [sys.executable, "-c", script, library.url, str(library.folder), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert victim.stdout is not None
    for line in victim.stdout:
        if int(line) > 0:
            break
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    report = Ingest(library.config(lease=QUICK)).run()
    assert (report.outcome, report.seen) == ("complete", 150)
    library.prove()
    assert library.digest() == undisturbed
    steps = library.one("select count(distinct step_id) from leasehold.outcome where ended = 'succeeded'")
    assert steps == library.one("select count(*) from leasehold.outcome where ended = 'succeeded'") == 750


def test_worker_children_killed_one_after_another_lose_nothing(library: Library, undisturbed: str) -> None:
    killed: list[int] = []

    def kill(now: Progress) -> None:
        if ingest.keeper is not None and len(killed) < 3 and now.ended < now.added:
            for pid in ingest.keeper.pids()[:1]:
                if pid not in killed:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

    ingest = Ingest(library.config(lease=QUICK, workers=2), on_progress=kill)
    report = ingest.run()
    assert killed
    assert report.outcome == "complete"
    library.prove()
    assert library.digest() == undisturbed


@pytest.mark.parametrize(("processes", "workers"), [(1, 1), (2, 6)])
def test_the_digest_does_not_depend_on_how_many_hands_there_are(
    library: Library, undisturbed: str, processes: int, workers: int
) -> None:
    report = Ingest(library.config(processes=processes, workers=workers)).run()
    assert report.outcome == "complete"
    assert library.digest() == undisturbed


def test_two_ingests_at_once_with_their_own_workers_both_complete_and_compute_nothing_twice(
    library: Library, undisturbed: str
) -> None:
    barrier = threading.Barrier(2)

    def ingest(_: int) -> tuple[str, int]:
        made = Ingest(library.config(processes=1, workers=2))
        barrier.wait(20)
        report = made.run()
        return report.outcome, report.seen

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(ingest, range(2))) == [("complete", 150)] * 2
    distinct = library.one("select count(distinct document_id) from leasehold.item")
    assert library.one("select count(*) from leasehold.artifact") == 3 * distinct
    assert library.one("select count(*) from leasehold.run") == 150
    library.prove()
    assert library.digest() == undisturbed


def test_an_ingest_that_is_stopped_is_interrupted_and_the_next_one_takes_the_remainder(library: Library) -> None:
    ingest = Ingest(library.config(processes=1, workers=1), on_progress=lambda now: ingest.stop())
    assert ingest.run().outcome == "interrupted"
    report = Ingest(library.config()).run()
    assert report.outcome == "complete"
    library.prove()


def test_three_waves_of_a_tight_time_box_converge_to_one_ingest(library: Library, undisturbed: str) -> None:
    outcomes = [Ingest(library.config(timeout_s=0.4, processes=1)).run().outcome for _ in range(3)]
    assert outcomes[0] == "partial"
    assert Ingest(library.config()).run().outcome == "complete"
    library.prove()
    assert library.digest() == undisturbed
