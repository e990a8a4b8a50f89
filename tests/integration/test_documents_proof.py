"""The proof: red when a row is missing and it says whose, red when not everything is accounted for, green else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from documents_by_hand import HandIngest, Killed, Library

from leasehold.documents import proof
from leasehold.errors import NotFound
from leasehold.types import StepLease


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = Library(database, tmp_path / "folder")
    made.folder.mkdir()
    for number in range(5):
        made.write(f"{number}.txt", " ".join(f"word{n} of {number}" for n in range(300)))
    made.ingest()
    yield made
    made.session.close()


BROKEN = {
    "chunks are missing": "delete from leasehold.chunk where ordinal = 0 and document_id = {document}",
    "a stored item has no stored document": "delete from leasehold.collection_document where document_id = {document}",
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_row_removed_by_hand_makes_the_proof_red_and_names_the_document(library: Library, rule: str) -> None:
    document = library.one("select document_id from leasehold.item where path = '3.txt'")
    library.rows(BROKEN[rule].format(document=document))
    found = proof.prove(library.session, "default")
    assert not found.holds
    assert [(one, path) for one, path, _ in found.defects] == [(rule, "3.txt")]


def test_a_chunk_in_the_middle_or_at_the_end_is_missed_as_well(library: Library) -> None:
    document = library.one("select document_id from leasehold.item where path = '2.txt'")
    last = library.one("select max(ordinal) from leasehold.chunk where document_id = %s", document)
    for ordinal in (1, last):
        library.rows("delete from leasehold.chunk where document_id = %s and ordinal = %s", document, ordinal)
        assert [path for _, path, _ in proof.prove(library.session).defects] == ["2.txt"]


def test_an_item_removed_by_hand_makes_the_count_red(library: Library) -> None:
    library.rows("delete from leasehold.item where path = '1.txt'")
    found = proof.prove(library.session)
    (source,) = found.sources
    assert (source.seen, source.accounted, source.holds, found.holds) == (5, 4, False, False)
    assert ("a stored document belongs to no item", None) in [(rule, path) for rule, path, _ in found.defects]


def test_what_is_still_under_way_makes_the_proof_red_and_the_sum_holds_all_the_same(library: Library) -> None:
    for number in range(5, 9):
        library.write(f"{number}.txt", f"text {number}")

    def die(kind: str, steps: Sequence[StepLease]) -> None:
        if kind == "embed":
            raise Killed

    assert HandIngest(library.config(timeout_s=0.3), die).run().outcome == "partial"
    found = proof.prove(library.session)
    (source,) = found.sources
    assert (source.seen, source.accounted, source.pending, source.unchanged) == (9, 9, 4, 5)
    assert not found.holds
    assert not found.defects


def test_a_source_that_was_never_scanned_to_the_end_is_not_proven(library: Library) -> None:
    library.rows("update leasehold.sync set applied_at = null")
    assert not proof.prove(library.session).holds


def test_stored_and_unchanged_are_told_apart_by_the_last_scan(library: Library) -> None:
    library.write("new.txt", "new")
    library.ingest()
    (source,) = proof.prove(library.session).sources
    assert (source.stored, source.unchanged, source.seen) == (1, 5, 6)


def test_a_collection_that_does_not_exist_is_not_proven(library: Library) -> None:
    with pytest.raises(NotFound):
        proof.prove(library.session, "missing")


CHANGES: dict[str, str] = {
    "text": "update leasehold.chunk set text = text || '.' where ordinal = 0",
    "lines": "update leasehold.chunk set line_end = line_end + 1 where ordinal = 0",
    "vectors": "update leasehold.chunk set embedding = (select c.embedding from leasehold.chunk c limit 1)",
    "paths": "update leasehold.item set path = path || 'x' where path = '1.txt'",
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_digest_changes_with_everything_that_is_stored(library: Library, what: str) -> None:
    before = library.digest()
    library.rows(CHANGES[what])
    assert library.digest() != before


def test_the_digest_knows_no_ids_no_times_and_no_order(library: Library, databases: object) -> None:
    clone: Callable[[], object] = databases.clone  # type: ignore[attr-defined]
    with clone() as url:  # type: ignore[attr-defined]
        other = Library(url, library.folder)
        (library.folder / "0.txt").touch()
        for name in ("4.txt", "0.txt"):
            other.ingest(include=(name,), allow_mass_delete=True)
        other.ingest(page_max=1)
        assert other.digest() == library.digest()
        other.session.close()
