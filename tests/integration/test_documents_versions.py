"""Versions, copies, renames and deletions: stored is exactly what the folder holds, and nothing is paid twice."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from documents_by_hand import Library

from leasehold.types import StepLease

pytestmark = pytest.mark.one_server


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    folder = tmp_path / "folder"
    folder.mkdir()
    made = Library(database, folder)
    yield made
    made.session.close()


def versions(library: Library, path: str) -> list[int]:
    numbers = "select v.number from leasehold.version v join leasehold.item using (item_id) where path = %s order by 1"
    return [row[0] for row in library.rows(numbers, path)]


def test_the_same_bytes_twice_are_one_document_one_item_and_one_version(library: Library) -> None:
    file = library.write("a.txt", "kestrel")
    library.ingest()
    os.utime(file, ns=(1, 1))
    report = library.ingest()
    assert (report.changed, report.computed) == (1, {})
    assert versions(library, "a.txt") == [1]
    assert library.one("select count(*) from leasehold.document") == 1


def test_new_bytes_are_version_2_and_the_old_chunks_go_when_the_new_are_in(library: Library) -> None:
    """Method: before the store step of the second version the first one must still answer."""
    library.write("a.txt", "first falcon")
    library.ingest()
    library.write("a.txt", "second merlin, longer")
    seen: list[tuple[str, set[str]]] = []

    def look(kind: str, steps: Sequence[StepLease]) -> None:
        seen.append((kind, library.paths("falcon")))

    report = library.ingest(between=look)
    assert report.changed == 1
    assert [kind for kind, _ in seen] == ["validate", "parse", "chunk", "embed", "store"]
    assert all(found == {"a.txt"} for _, found in seen), "the old version answers until the new one is in"
    assert versions(library, "a.txt") == [1, 2]
    assert [answer.snippet for answer in library.search("falcon merlin")] == ["second merlin, longer"]
    assert library.one("select count(*) from leasehold.chunk") == 1


def test_bytes_that_change_back_cost_nothing_and_are_version_3(library: Library) -> None:
    for text in ("first", "second, longer"):
        library.write("a.txt", text)
        library.ingest()
    library.write("a.txt", "first")
    assert library.ingest().computed == {}
    assert versions(library, "a.txt") == [1, 2, 3]
    assert library.one("select count(*) from leasehold.chunk") == 1


def test_two_files_with_one_content_are_both_copies_and_deleting_one_keeps_the_document(library: Library) -> None:
    library.write("a.txt", "one osprey")
    library.write("b.txt", "one osprey")
    library.ingest()
    assert [answer.copies for answer in library.search("osprey")] == [2]
    (library.folder / "a.txt").unlink()
    assert library.ingest().deleted == 1
    assert [(answer.path, answer.copies) for answer in library.search("osprey")] == [("b.txt", 1)]
    (library.folder / "b.txt").unlink()
    library.ingest(allow_mass_delete=True)
    assert library.search("osprey") == []
    assert library.one("select count(*) from leasehold.collection_document") == 0


def test_a_rename_costs_no_run_and_search_shows_the_new_path(library: Library) -> None:
    library.write("old/a.txt", "a wandering albatross")
    library.write("b.txt", "stays")
    library.ingest()
    (library.folder / "old").rename(library.folder / "new")
    report = library.ingest()
    assert (report.renamed, report.new, report.deleted, report.runs, report.computed) == (1, 0, 0, 0, {})
    assert library.paths("albatross") == {"new/a.txt"}
    assert versions(library, "new/a.txt") == [1]


def test_a_rename_of_a_file_with_a_whole_second_mtime_is_read_again_but_costs_no_run(library: Library) -> None:
    file = library.write("a.txt", "unpacked by tar")
    os.utime(file, ns=(10**18, 10**18))
    library.ingest()
    file.rename(library.folder / "b.txt")
    report = library.ingest()
    assert (report.renamed, report.rechecked, report.runs) == (1, 1, 0)
    assert library.ingest().unchanged == 1


def test_a_file_renamed_and_edited_is_a_deletion_and_an_arrival(library: Library) -> None:
    file = library.write("a.txt", "before")
    library.write("other.txt", "other")
    library.ingest()
    file.rename(library.folder / "b.txt")
    library.write("b.txt", "after the edit")
    report = library.ingest()
    assert (report.renamed, report.new, report.deleted) == (0, 1, 1)
    assert library.states() == {"b.txt": ("stored", None), "other.txt": ("stored", None)}
    assert library.one("select count(*) from leasehold.collection_document") == 2


def test_an_edit_costs_one_document_and_a_delete_removes_exactly_its_rows(library: Library) -> None:
    for name in ("a", "a-", "a-b", "a.b"):  # near names: deletes are exact
        library.write(f"{name}.txt", f"text of {name}")
    library.ingest()
    library.write("a-.txt", "edited text")
    assert library.ingest().computed == {"parse": 1, "chunk": 1, "embed": 1}
    (library.folder / "a-.txt").unlink()
    assert library.ingest().deleted == 1
    assert set(library.states()) == {"a.txt", "a-b.txt", "a.b.txt"}
    assert library.one("select count(*) from leasehold.chunk") == 3


def test_two_files_that_swap_their_contents_end_with_both_documents(library: Library) -> None:
    library.write("a.txt", "left hand")
    library.write("b.txt", "right hand")
    library.ingest()
    library.write("a.txt", "right hand")
    library.write("b.txt", "left hand")
    report = library.ingest(page_max=1)
    assert report.computed == {}
    found = {answer.path: answer.snippet for answer in library.search("hand")}
    assert found == {"a.txt": "right hand", "b.txt": "left hand"}


def test_another_chunk_size_runs_chunk_and_what_follows_and_never_parse(library: Library) -> None:
    for number in range(5):
        library.write(f"{number}.txt", " ".join(f"word{n} of {number}" for n in range(200)))
    library.ingest()
    before = library.one("select count(*) from leasehold.chunk")
    report = library.ingest(chunk_size=300)
    assert (report.retried, report.unchanged, report.computed) == (5, 0, {"chunk": 5, "embed": 5})
    assert library.one("select count(*) from leasehold.chunk") > before
    report = library.ingest(chunk_size=1200)
    assert report.computed == {}, "the first size's results are still there"
    assert library.one("select count(*) from leasehold.chunk") == before


def test_the_same_bytes_in_two_collections_are_parsed_once(library: Library) -> None:
    library.write("a.txt", "shared heron")
    assert library.ingest().computed == {"parse": 1, "chunk": 1, "embed": 1}
    assert library.ingest(collection="second").computed == {}
    assert library.digest() == library.digest("second")


def test_two_overlapping_sources_hold_one_document_and_each_counts_its_file_once(library: Library) -> None:
    library.write("sub/a.txt", "shared stork")
    library.write("b.txt", "own crane")
    report = library.ingest(library.folder, library.folder / "sub", library.folder / ".")
    assert (report.seen, report.new, report.runs) == (3, 3, 3)
    assert library.search("stork")[0].copies == 2
    report = library.ingest(library.folder, library.folder / "sub")
    assert (report.seen, report.unchanged, report.new) == (3, 3, 0)


def test_a_file_that_changes_while_it_is_read_is_read_again_at_once_and_counted_once(library: Library) -> None:
    """Method: the first time that parse comes, the file is edited under it. What was stored stays meanwhile."""
    library.write("a.txt", "version one")
    library.write("calm.txt", "calm")
    library.ingest()
    library.write("a.txt", "version two!")
    edits = iter(["version three"])
    kept: list[set[str]] = []

    def edit(kind: str, steps: Sequence[StepLease]) -> None:
        if kind == "parse":
            for text in edits:
                library.write("a.txt", text)
        kept.append(library.paths("version"))

    report = library.ingest(between=edit)
    assert (report.outcome, report.passes, report.changed, report.unchanged, report.seen) == ("complete", 2, 1, 1, 2)
    assert all(found == {"a.txt"} for found in kept)
    assert library.search("version")[0].snippet == "version three"


def test_a_file_that_never_holds_still_leaves_the_ingest_partial_and_the_rest_stored(library: Library) -> None:
    library.write("calm.txt", "calm")
    number = 0

    def edit(kind: str, steps: Sequence[StepLease]) -> None:
        nonlocal number
        number += 1
        library.write("log.txt", f"line {number}" * number)

    library.write("log.txt", "line")
    report = library.ingest(between=edit)
    assert (report.outcome, report.passes) == ("partial", 3)
    assert library.states()["calm.txt"] == ("stored", None)
    assert library.states()["log.txt"] == ("skipped", "changed while it was read")
    library.prove()
    assert library.ingest().outcome == "complete"


def test_an_edit_in_the_tick_in_which_a_file_was_read_is_seen(library: Library) -> None:
    """The stat cannot show it: same size, same mtime, same inode. The first reading was not trusted for that reason."""
    file = library.write("a.txt", "aaaa")
    library.ingest()
    stat = file.stat()
    file.write_text("bbbb")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = library.ingest()
    assert (report.retried, report.runs) == (1, 1)
    assert library.search("bbbb")[0].snippet == "bbbb"
