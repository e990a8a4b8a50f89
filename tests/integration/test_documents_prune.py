"""A prune leaves the account of documents, their content and the way to retry them as they were."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from documents_by_hand import Library

from leasehold.cli import app
from leasehold.documents import pruning
from leasehold.kernel import history
from leasehold.testing.races import Race
from leasehold.types import StepLease

pytestmark = pytest.mark.one_server
DAMAGED = b'{"a": [1, 2'


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = Library(database, tmp_path / "folder")
    made.folder.mkdir()
    for number in range(6):
        made.write(f"{number}.txt", f"word of {number}")
    made.write("empty.txt", "")
    made.write("damaged.json", DAMAGED)
    for file in made.folder.iterdir():  # what was changed a moment ago would be read again by any ingest
        os.utime(file, ns=(10**18, 10**18))
    assert made.ingest().outcome == "failed"
    yield made
    made.session.close()


def everything_goes(library: Library) -> int:
    return pruning.prune(library.session, older_than_s=0).runs


def test_the_account_and_the_content_are_the_same_after_a_prune(library: Library) -> None:
    before, digest, states = library.prove(), library.digest(), library.states()

    assert everything_goes(library) == 6

    assert (library.prove(), library.digest(), library.states()) == (before, digest, states)
    (source,) = before.sources
    assert (source.stored, source.unchanged, source.failed) == (6, 0, {"damaged": 1})


def test_a_file_that_failed_can_be_retried_after_a_prune_and_then_leaves_too(library: Library) -> None:
    everything_goes(library)
    library.write("damaged.json", '{"a": [1, 2]}')
    assert library.retry() == 1
    assert library.ingest().outcome == "complete"
    assert library.states()["damaged.json"][0] == "stored"
    everything_goes(library)
    assert library.one("select count(*) from leasehold.run") == 0
    library.prove()


def test_ingests_go_on_as_before_after_a_prune(library: Library) -> None:
    """Unchanged files are not worked again, edits and deletions are followed, and the failed one is not forgotten."""
    everything_goes(library)
    library.write("0.txt", "another word")
    (library.folder / "1.txt").unlink()
    report = library.ingest()
    assert (report.runs, report.outcome) == (1, "failed")
    assert library.states()["damaged.json"] == ("failed", None)
    everything_goes(library)
    (source,) = library.prove().sources
    assert (source.stored, source.unchanged) == (1, 4)


def test_a_prune_in_the_middle_of_an_ingest_takes_nothing_that_it_needs(library: Library) -> None:
    """Method: a prune of everything before each page of the second ingest."""
    for number in range(6):
        library.write(f"{number}.txt", f"other words of {number}")

    def between(kind: str, leased: Sequence[StepLease]) -> None:
        pruning.prune(library.session, older_than_s=0)

    assert library.ingest(between=between, page_max=2).verdicts["stored"] == {"": 6}
    library.prove()


def prune_command(library: Library, *options: str) -> tuple[int, dict[str, object]]:
    """Exit code and JSON of `leasehold prune`."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = app.run(["prune", "--database", library.url, "--older-than", "0", "--json", *options])
    return code, json.loads(out.getvalue())


def test_the_command_says_what_it_would_do_and_then_does_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A range that somebody reads is busy: partial, exit code 3, and the next call goes on."""
    code, would = prune_command(library, "--dry-run")
    assert (code, would["outcome"], would["dry_run"], would["runs"]) == (0, "complete", True, 6)
    assert library.one("select count(*) from leasehold.run") == 7
    monkeypatch.setattr(history, "TRIES", 1)
    with Race(library.url) as race:
        race.begin("reader")
        race.do("reader", lambda connection: connection.execute("select count(*) from leasehold.run").fetchall())
        code, busy = prune_command(library)
        assert (code, busy["outcome"], busy["runs"]) == (3, "partial", 0)
        race.commit("reader")
    monkeypatch.undo()
    code, done = prune_command(library)
    assert (code, done["outcome"], done["runs"]) == (0, "complete", 6)
    library.prove()
