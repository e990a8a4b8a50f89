"""The account of an ingest: each file once, however many scans it took."""

from __future__ import annotations

from pathlib import Path

from leasehold.documents.account import SourceAccount
from leasehold.documents.recipes import Parameters
from leasehold.documents.sync import Collection, Planned, Source
from leasehold.options import ChunkOptions, SourceOptions
from leasehold.sources.folder import ScanCounts
from leasehold.sources.plan import Entry, Oddity, Plan, Rename

SOURCE = Source(1, Collection(1, "c", Parameters(chunk=ChunkOptions())), Path("/x"), "file:///x", SourceOptions())


def entry(path: str) -> Entry:
    return Entry(path, 1, 1, 1)


def account(*plans: Plan) -> SourceAccount:
    made = SourceAccount()
    for plan in plans:
        made.add(Planned(SOURCE, plan, ScanCounts(), 0))
    return made


def test_one_scan_is_counted_as_it_is() -> None:
    made = account(Plan(
        new=[entry("n")], changed=[entry("c")], retry=[entry("r")], renamed=[Rename("o", entry("m"), True)],
        unchanged=3, deleted=["d"], oddities=[Oddity("x", "skipped", "empty")],
    ))  # fmt: skip
    counts = [made.count(what) for what in ("new", "changed", "retried", "renamed")]
    assert counts == [1, 1, 1, 1]
    assert (made.seen, made.unchanged, len(made.deleted)) == (8, 3, 1)


def test_a_second_scan_does_not_count_the_first_ones_files_again() -> None:
    made = account(Plan(new=[entry("a"), entry("b")], unchanged=5), Plan(changed=[entry("a")], unchanged=6))
    assert (made.count("new"), made.count("changed"), made.unchanged, made.seen) == (2, 0, 5, 7)


def test_what_came_and_went_within_one_ingest_counts_nowhere() -> None:
    made = account(Plan(new=[entry("a")], unchanged=1), Plan(deleted=["a"], unchanged=1))
    assert (made.count("new"), len(made.deleted), made.unchanged, made.seen) == (0, 0, 1, 1)


def test_what_went_and_came_back_is_a_change() -> None:
    made = account(Plan(deleted=["a"]), Plan(new=[entry("a")]))
    assert (made.count("changed"), made.count("new"), len(made.deleted)) == (1, 0, 0)


def test_a_file_that_is_renamed_in_the_second_scan_stays_what_it_was_in_the_first() -> None:
    made = account(Plan(new=[entry("a")]), Plan(renamed=[Rename("a", entry("b"), True)]))
    assert (made.count("new"), made.count("renamed"), made.unchanged) == (1, 0, 0)
