"""Syncs beside each other, cut short, refused and repeated: they end in the rows of one undisturbed sync."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from documents_by_hand import HandIngest, Killed, Library

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.documents import applying, proof, readings, sync
from leasehold.documents.kinds import WORKFLOW
from leasehold.documents.recipes import Parameters
from leasehold.documents.turns import turn
from leasehold.errors import MassDelete, QueueFull, UsageError
from leasehold.kernel import bounds, groups, holders
from leasehold.options import ChunkOptions, SourceOptions
from leasehold.testing.faults import FaultPlan
from leasehold.testing.races import deadlocks, together
from leasehold.types import StepLease
from leasehold.worker import pages

pytestmark = pytest.mark.one_server


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = Library(database, tmp_path / "folder")
    made.folder.mkdir()
    yield made
    made.session.close()


def fill(library: Library, n: int = 20, word: str = "text") -> None:
    for number in range(n):
        library.write(f"{number:03}.txt", f"{word} number {number}")


def planned(library: Library, session: Session, **options: Any) -> sync.Planned:
    collection = sync.open_collection(session, "default", library.parameters)
    return sync.plan(session, sync.open_source(session, collection, library.folder, SourceOptions(**options)))


def workflow(session: Session) -> int:
    return groups.register(session, "documents", groups.chain(*WORKFLOW))


# -- at once ----------------------------------------------------------------------------------------------------------


def test_two_ingests_of_one_folder_at_once_both_complete_and_compute_nothing_twice(library: Library) -> None:
    fill(library, 60)
    config = library.config()
    with ThreadPoolExecutor(2) as threads:
        reports = list(threads.map(lambda _: HandIngest(config, page_max=5).run(), range(2)))
    assert [one.outcome for one in reports] == ["complete", "complete"]
    assert library.one("select count(*) from leasehold.artifact") == 180
    assert library.one("select count(*) from leasehold.run") == 60, "no file had two runs"
    assert library.one("select count(*) from leasehold.outcome where ended = 'succeeded'") == 300
    library.prove()


def test_two_applies_of_the_same_plan_at_once_start_each_file_once(library: Library) -> None:
    """Without turns, as if both had lost theirs: the row locks alone must do."""
    fill(library, 40)
    with Session(Target(url=library.url)) as session:
        flow = workflow(session)
        plans = [planned(library, session) for _ in range(2)]

    def apply(one: sync.Planned) -> Any:
        return lambda session: sync.apply(session, one, flow)

    together(library.url, [apply(one) for one in plans])
    assert sum(one.started for one in plans) == 40
    assert library.one("select count(*) from leasehold.run") == 40
    assert library.ingest().outcome == "complete"


def test_a_stale_plan_applied_after_another_ingest_has_finished_starts_nothing(library: Library) -> None:
    fill(library, 5)
    for file in library.folder.iterdir():  # not of this moment, or they would be read again for that
        os.utime(file, ns=(10**18, 10**18))
    with Session(Target(url=library.url)) as session:
        stale = planned(library, session)
        library.ingest()
        assert sync.apply(session, stale, workflow(session)) is not None
        assert (len(stale.plan.new), stale.started, stale.busy) == (5, 0, 0)
    assert library.one("select count(*) from leasehold.run") == 5
    assert library.ingest().outcome == "complete"


def test_an_ingest_of_a_source_that_is_bounded_waits_for_room_and_loses_nothing(library: Library) -> None:
    """Method: a scan that nobody works fills the bound; the next ingest works it off and only then starts its own."""
    fill(library, 20)
    with Session(Target(url=library.url)) as session:
        first = planned(library, session)
        bounds.bound(session, "source", first.source.name, 25)
        sync.apply(session, first, workflow(session))
        for number in range(20, 30):
            library.write(f"{number:03}.txt", f"more {number}")
        with pytest.raises(QueueFull):
            sync.apply(session, planned(library, session), workflow(session))
        assert library.one("select count(*) from leasehold.run") == 20
        cut = planned(library, session)
        sync.apply(session, cut, workflow(session), when_full=lambda: False)
        assert not cut.applied
    assert library.ingest().outcome == "complete"
    assert library.one("select count(*) from leasehold.run_outcome where ended = 'succeeded'") == 30
    library.prove()


def test_an_ingest_of_a_source_whose_bound_is_smaller_than_its_page_adds_less_at_a_time(library: Library) -> None:
    """And never has more open than that."""
    fill(library, 20)
    with Session(Target(url=library.url)) as session:
        bounds.bound(session, "source", planned(library, session).source.name, 3)
        most = []

        def look() -> bool:
            ((opened,),) = session.fetch(
                "select count(*) from leasehold.run r where not exists (select from leasehold.run_outcome o "
                "where o.run_id = r.run_id)"
            )
            most.append(opened)
            return False

        sync.apply(session, planned(library, session), workflow(session), when_full=look)
        assert most == [2], "the first page of 2, and for the next there is no room"
    assert library.ingest().outcome == "complete"
    library.prove()


def test_two_groups_over_the_same_bytes_at_once_parse_once(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Method: the first reader goes on only when the other group's run waits for its result (or ten seconds are up)."""
    other = Library(library.url, tmp_path / "other")
    for one in (library, other):
        one.folder.mkdir(exist_ok=True)
        fill(one, 3)
    real, reads, turn_taken = readings.read, list[str](), threading.Lock()

    def read(data: bytes, **how: Any) -> Any:
        with turn_taken:
            reads.append(how["name"])
            first = len(reads) == 1
        if first:
            waits = "select exists (select from leasehold.delayed where wait_key is not null)"
            with Session(Target(url=library.url)) as session:
                give_up_at = time.monotonic() + 10
                while not session.fetch(waits)[0][0] and time.monotonic() < give_up_at:
                    pass
        return real(data, **how)

    monkeypatch.setattr(readings, "read", read)
    with ThreadPoolExecutor(2) as threads:
        reports = list(threads.map(lambda one: HandIngest(one.config()).run(), (library, other)))
    assert [one.outcome for one in reports] == ["complete", "complete"]
    assert sorted(reads) == ["000.txt", "001.txt", "002.txt"]
    assert library.search("number 2")[0].copies == 2
    library.prove()
    assert deadlocks(library.url) == 0
    other.session.close()


def test_of_two_parameter_sets_at_once_the_later_one_is_in_force_and_nothing_fails(library: Library) -> None:
    """Method: before the first ingest embeds, another gives the collection a smaller chunk size."""
    for number in range(6):
        library.write(f"{number}.txt", " ".join(f"w{n}of{number}" for n in range(300)))
    second: list[Any] = []

    def other(kind: str, steps: Sequence[StepLease]) -> None:
        if kind == "embed" and not second:
            second.append(None)
            sync.open_collection(library.session, "default", Parameters(chunk=ChunkOptions(size=300)))

    config = library.config()
    with pytest.raises(Exception, match="other parameters"):
        HandIngest(config, other).run()
    assert library.one("select count(*) from leasehold.run_outcome where ended = 'failed'") == 0
    report = library.ingest(chunk_size=300)
    assert report.outcome == "complete"
    assert library.one("select max(length(text)) <= 300 from leasehold.chunk")


def test_an_item_deleted_while_its_run_stores_it_leaves_nothing_behind(library: Library) -> None:
    fill(library, 3)
    done: list[str] = []

    def delete(kind: str, steps: Sequence[StepLease]) -> None:
        if kind == "store" and not done:
            done.append(kind)
            (library.folder / "001.txt").unlink()
            with Session(Target(url=library.url)) as session:
                sync.apply(session, planned(library, session), workflow(session))

    assert library.ingest(between=delete).outcome == "complete"
    assert set(library.states()) == {"000.txt", "002.txt"}
    assert library.one("select count(*) from leasehold.collection_document") == 2


def test_an_item_deleted_between_a_page_and_its_effects_leaves_nothing_behind(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page was read before the delete, its effects come after: they look again under the item's lock."""
    from leasehold.documents import storing

    fill(library, 2)
    real = storing._stored

    def late(item: Any, inputs: Any) -> Any:
        if item.path == "001.txt":
            library.rows("delete from leasehold.item where path = '001.txt'")
        return real(item, inputs)

    monkeypatch.setattr(storing, "_stored", late)
    assert HandIngest(library.config()).run().verdicts == {"stored": {"": 1}}
    assert library.one("select count(*) from leasehold.collection_document") == 1
    assert library.one("select count(*) from leasehold.chunk") == 1


def test_a_file_edited_while_an_older_run_has_it_is_taken_by_the_next_look_of_the_same_ingest(library: Library) -> None:
    """A's run has read the first bytes; B's scan sees the second ones, leaves the item to A's run, and comes back."""
    library.write("a.txt", "first words")
    inside = threading.Event()
    go_on = threading.Event()

    def hold(kind: str, steps: Sequence[StepLease]) -> None:
        if kind == "chunk" and not inside.is_set():
            inside.set()
            assert go_on.wait(20)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(HandIngest(library.config(), hold).run)
        assert inside.wait(20)
        library.write("a.txt", "second words, edited")
        with Session(Target(url=library.url)) as session:
            look = planned(library, session)
            sync.apply(session, look, workflow(session))
            assert (len(look.plan.changed), look.started, look.busy) == (1, 0, 1)
        go_on.set()
        assert first.result(20).outcome == "complete"
    assert library.ingest().outcome == "complete"
    assert library.search("words")[0].snippet == "second words, edited"


# -- interrupted ------------------------------------------------------------------------------------------------------


def bury_hands(library: Library) -> None:
    """What the keeper or the reaper does for a dead worker."""
    for (holder_id,) in library.rows("select holder_id from leasehold.holder where ended_at is null"):
        holders.end_dead(library.session, holder_id, reason="killed", blamed_step=None)


@pytest.mark.parametrize("die_at", ["validate", "parse", "chunk", "embed", "store"])
def test_a_worker_that_dies_in_any_step_leaves_the_same_digest_as_an_undisturbed_run(
    library: Library, die_at: str, databases: Any
) -> None:
    fill(library, 12)

    def die(kind: str, steps: Sequence[StepLease]) -> None:
        if kind == die_at:
            raise Killed

    config = library.config(timeout_s=0.3)
    assert HandIngest(config, die, page_max=5).run().outcome == "partial"
    bury_hands(library)
    assert library.ingest().outcome == "complete"
    with databases.clone() as url:
        undisturbed = Library(url, library.folder)
        undisturbed.ingest(page_max=3)
        assert undisturbed.digest() == library.digest()
        undisturbed.session.close()


def test_an_apply_that_is_cut_short_leaves_an_open_group_that_the_next_ingest_finishes(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "PAGE", 5)
    monkeypatch.setattr(applying.pages, "__defaults__", (5,))
    fill(library, 20)
    with Session(Target(url=library.url)) as session:
        look = planned(library, session)
        asked = iter([False, False, True])
        group_id = sync.apply(session, look, workflow(session), stopping=lambda: next(asked))
        assert (look.started, look.applied) == (10, False)
        state = groups.state(session, group_id or 0)
        assert state is not None
        assert not state.sealed
    assert not proof.prove(library.session).holds, "a scan that was not applied proves nothing"
    report = library.ingest()
    assert (report.outcome, report.runs) == ("complete", 10)
    assert library.one("select count(*) from leasehold.run_group where completed_at is null") == 0
    assert library.one("select max(round) from leasehold.run_group") == 1, "each group completed once"


def test_a_group_opened_by_a_scan_that_died_before_it_used_it_is_completed_by_the_next(library: Library) -> None:
    fill(library, 2)
    with Session(Target(url=library.url)) as session:
        look = planned(library, session)
        sync_id = session.run(lambda connection: sync._begin(connection, look))
        groups.open_group(session, workflow(session), label="x", idempotency_key=f"leasehold sync {sync_id}")
    assert library.ingest().outcome == "complete"
    assert library.one("select count(*) from leasehold.run_group where completed_at is null") == 0


def test_nobody_seals_the_group_of_a_scan_that_still_has_its_turn(library: Library) -> None:
    with Session(Target(url=library.url)) as session:
        source = planned(library, session).source
        name = f"sync of source {source.source_id}"
        with turn(Target(url=library.url), name) as mine:
            assert mine
            with turn(Target(url=library.url), name) as others:
                assert not others
            held = "select backend_xmin from pg_stat_activity where application_name = 'leasehold turn'"
            assert library.rows(held) == [(None,)], "a turn holds back neither vacuum nor index builds"
        with turn(Target(url=library.url), name) as mine:
            assert mine, "a turn ends with its block"


@pytest.mark.parametrize("kind", ["drop", "drop_answers", "drop_replies", "40001", "40P01"])
def test_faults_at_any_statement_change_nothing_in_the_end(library: Library, kind: str, databases: Any) -> None:
    fill(library, 12)
    library.ingest()
    (library.folder / "000.txt").unlink()
    (library.folder / "001.txt").rename(library.folder / "moved.txt")
    library.write("002.txt", "edited")
    library.write("new.txt", "new")
    library.write("empty.txt", "")
    plan = FaultPlan(7, {kind: 0.08}, limit=12)
    with plan.installed():
        report = HandIngest(library.config()).run()
    assert plan.happened.total() > 0
    assert report.outcome == "complete"
    library.prove()
    with databases.clone() as url:
        undisturbed = Library(url, library.folder)
        undisturbed.ingest()
        assert undisturbed.digest() == library.digest()
        undisturbed.session.close()


# -- refused ----------------------------------------------------------------------------------------------------------


def test_a_scan_that_would_delete_most_of_a_source_refuses_and_writes_nothing(library: Library) -> None:
    fill(library, 60)
    library.ingest()
    for number in range(55):
        (library.folder / f"{number:03}.txt").unlink()
    before = library.tables()
    with pytest.raises(MassDelete) as refused:
        library.ingest()
    assert refused.value.context["deletions"] == 55
    assert library.tables() == before
    library.prove()
    assert library.ingest(allow_mass_delete=True).deleted == 55


def test_an_empty_folder_that_was_not_empty_before_is_refused_however_small(library: Library) -> None:
    fill(library, 3)
    library.ingest()
    for file in library.folder.iterdir():
        file.unlink()
    before = library.tables()
    with pytest.raises(MassDelete, match="--allow-mass-delete"):
        library.ingest()
    assert library.tables() == before
    assert library.ingest(allow_mass_delete=True).deleted == 3
    assert library.ingest().outcome == "complete", "an empty source stays a source"


def test_files_that_became_empty_are_not_gone(library: Library) -> None:
    fill(library, 2)
    library.ingest()
    fill_empty = [library.write(f"{number:03}.txt", "") for number in range(2)]
    assert library.ingest().deleted == len(fill_empty)
    assert library.states() == {"000.txt": ("skipped", "empty"), "001.txt": ("skipped", "empty")}


def test_one_refused_source_does_not_stop_the_others(library: Library, tmp_path: Path) -> None:
    fill(library, 3)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("apart")
    library.ingest(library.folder, other)
    for file in library.folder.iterdir():
        file.unlink()
    (other / "b.txt").write_text("besides")
    with pytest.raises(MassDelete) as refused:
        library.ingest(library.folder, other)
    assert str(refused.value.context["source"]).endswith("/folder")
    assert library.paths("besides") == {"b.txt"}
    library.prove()


def test_a_path_that_does_not_exist_is_refused_before_anything_is_written(library: Library) -> None:
    before = library.tables()
    with pytest.raises(UsageError):
        library.ingest(library.folder, library.folder / "missing")
    assert library.tables() == before


def test_a_root_that_cannot_be_listed_shelters_what_is_known(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from leasehold.sources import folder

    fill(library, 3)
    library.ingest()
    with monkeypatch.context() as patched:
        away = folder._root_oddity(OSError(5, "I/O error"))
        patched.setattr(folder, "_scan", lambda root, rules, counts: iter([away]))
        report = library.ingest()
    assert (report.outcome, report.sheltered, report.deleted, report.seen) == ("failed", 3, 0, 4)
    report = library.ingest()
    assert (report.outcome, report.unchanged) == ("complete", 3)


# -- a dry run --------------------------------------------------------------------------------------------------------


def test_a_plan_writes_nothing_at_all(library: Library) -> None:
    fill(library, 5)
    library.ingest()
    (library.folder / "000.txt").unlink()
    library.write("001.txt", "edited")
    library.write("new.txt", "new")
    before = library.tables()
    collection = sync.find_collection(library.session, "default")
    parameters = Parameters(chunk=ChunkOptions(size=500))
    source = sync.unregistered(library.session, collection, library.folder, SourceOptions(), parameters)
    look = sync.plan(library.session, source)
    assert (len(look.plan.new), len(look.plan.changed), len(look.plan.retry), len(look.plan.deleted)) == (1, 1, 3, 1)
    nowhere = sync.unregistered(library.session, None, library.folder, SourceOptions(), parameters)
    assert len(sync.plan(library.session, nowhere).plan.new) == 5
    assert library.tables() == before


def test_a_page_that_takes_long_gives_the_rest_back_and_nothing_is_lost(library: Library, monkeypatch) -> None:
    """Method: no page may take any time, so each computes one step and gives back the others; all are done in the end,
    none was charged, none computed twice."""
    for number in range(6):
        library.write(f"{number}.md", f"text {number}")
    monkeypatch.setattr(pages, "PAGE_S", -1.0)
    report = library.ingest()
    assert report.outcome == "complete"
    assert report.computed == {"parse": 6, "chunk": 6, "embed": 6}
    assert library.one("select count(*) from leasehold.outcome where ended in ('error', 'failed')") == 0
