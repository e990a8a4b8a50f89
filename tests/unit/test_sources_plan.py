"""The plan: known rows against a listing. Applied, it yields exactly the listing; it deletes what is surely gone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.errors import MassDelete
from leasehold.options import SourceOptions
from leasehold.sources.folder import scan
from leasehold.sources.plan import RACY_NS, ROOT, Entry, Oddity, Plan, check_mass_delete, decide, is_racy

Row = tuple[int, int, int, bool]
TICK = 1_700_000_000_123_456_789
DAY = 86_400 * 10**9


def rows(listing: Iterable[Entry | Oddity]) -> dict[str, Row]:
    return {one.path: (one.size, one.mtime_ns, one.inode, True) for one in listing if isinstance(one, Entry)}


def applied(known: dict[str, Row], plan: Plan) -> dict[str, Row]:
    """Do what a plan says, in the least favourable order, refusing every step that a table's keys would refuse."""
    after = dict(known)
    for rename in reversed(plan.renamed):
        assert rename.entry.path not in after
        row = after.pop(rename.old)
        after[rename.entry.path] = (*row[:3], rename.settled)
        assert row[:3] == rename.entry[1:]
    for entry in plan.new:
        assert entry.path not in after
        after[entry.path] = (*entry[1:], True)
    for entry in [*plan.changed, *plan.retry]:
        assert entry.path in after
        after[entry.path] = (*entry[1:], True)
    for path in plan.deleted:
        del after[path]
    return after


def scanned(root: Path) -> list[Entry | Oddity]:
    return list(scan(root, SourceOptions()))


# -- any tree against any tree ----------------------------------------------------------------------------------------

PATHS = st.lists(st.sampled_from(["a", "b", "c", "d", "a.b"]), min_size=1, max_size=3).map("/".join)
STAMPS = st.tuples(st.integers(1, 2), st.sampled_from([TICK, TICK + 1, 10**18]), st.integers(1, 4))
KNOWN = st.dictionaries(PATHS, st.tuples(STAMPS, st.booleans()).map(lambda pair: (*pair[0], pair[1])), max_size=8)
LISTINGS = st.dictionaries(PATHS, STAMPS, max_size=8).map(
    lambda found: [Entry(path, *stamp) for path, stamp in found.items()]
)
UNKNOWN = st.lists(PATHS, max_size=2, unique=True).map(
    lambda paths: [Oddity(path, "failed", "unreadable", unknown=True) for path in paths]
)


@given(KNOWN, LISTINGS)
def test_applying_the_plan_to_the_known_rows_yields_exactly_the_listing(
    known: dict[str, Row], listing: list[Entry]
) -> None:
    after = applied(known, decide(known, listing))
    assert {path: row[:3] for path, row in after.items()} == {entry.path: entry[1:] for entry in listing}


@given(KNOWN, LISTINGS)
def test_every_listed_file_is_counted_once(known: dict[str, Row], listing: list[Entry]) -> None:
    plan = decide(known, listing)
    assert plan.files == len(listing)
    kept = plan.unchanged + len(plan.retry) + len(plan.changed) + len(plan.renamed)
    assert kept + len(plan.deleted) + plan.sheltered == len(known)


@given(LISTINGS)
def test_the_plan_of_an_unchanged_listing_is_empty(listing: list[Entry]) -> None:
    plan = decide(rows(listing), listing)
    assert plan.is_empty
    assert plan.unchanged == len(listing)


@given(KNOWN, LISTINGS, UNKNOWN)
def test_nothing_at_or_below_an_unknown_path_is_deleted_or_moved_away(
    known: dict[str, Row], listing: list[Entry], unknown: list[Oddity]
) -> None:
    plan = decide(known, [*unknown, *listing])
    lost = [*plan.deleted, *(rename.old for rename in plan.renamed)]
    for place in unknown:
        assert not [path for path in lost if f"{path}/".startswith(f"{place.path}/")]
    assert plan.oddities == unknown


@given(KNOWN)
def test_a_root_that_is_away_deletes_nothing(known: dict[str, Row]) -> None:
    plan = decide(known, [Oddity(ROOT, "failed", "source is not there", unknown=True)])
    assert plan.is_empty
    assert plan.sheltered == len(known)


@given(KNOWN, LISTINGS)
def test_a_rename_pairs_the_only_two_paths_with_its_stamp(known: dict[str, Row], listing: list[Entry]) -> None:
    listed = {entry.path for entry in listing}
    for rename in decide(known, listing).renamed:
        stamp = rename.entry[1:]
        assert [path for path, row in known.items() if row[:3] == stamp and path not in listed] == [rename.old]
        assert [entry for entry in listing if entry[1:] == stamp and entry.path not in known] == [rename.entry]


# -- one story each, on real files ------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a", "b", "c", "dir/x", "dir/y"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"content of {name}")
        os.utime(tmp_path / name, ns=(TICK, TICK))
    return tmp_path


def test_a_new_an_edited_and_a_deleted_file_are_exactly_that(tree: Path) -> None:
    known = rows(scanned(tree))
    (tree / "a").write_text("edited")
    (tree / "b").unlink()
    (tree / "n").write_text("new")
    plan = decide(known, scanned(tree))
    assert ([e.path for e in plan.new], [e.path for e in plan.changed], plan.deleted) == (["n"], ["a"], ["b"])
    assert (plan.renamed, plan.unchanged) == ([], 3)


def test_a_renamed_directory_is_all_renames(tree: Path) -> None:
    known = rows(scanned(tree))
    (tree / "dir").rename(tree / "moved")
    plan = decide(known, scanned(tree))
    assert [(r.old, r.entry.path, r.settled) for r in plan.renamed] == [
        ("dir/x", "moved/x", True),
        ("dir/y", "moved/y", True),
    ]
    assert (plan.new, plan.changed, plan.deleted, plan.unchanged) == ([], [], [], 3)


def test_swapped_names_are_two_changes(tree: Path) -> None:
    known = rows(scanned(tree))
    (tree / "a").rename(tree / "t")
    (tree / "b").rename(tree / "a")
    (tree / "t").rename(tree / "b")
    plan = decide(known, scanned(tree))
    assert ([e.path for e in plan.changed], plan.deleted, plan.renamed) == (["a", "b"], [], [])


def test_a_file_renamed_and_edited_is_a_deletion_and_an_arrival(tree: Path) -> None:
    known = rows(scanned(tree))
    (tree / "a").rename(tree / "n")
    (tree / "n").write_text("edited")
    plan = decide(known, scanned(tree))
    assert ([e.path for e in plan.new], plan.deleted, plan.renamed) == (["n"], ["a"], [])


def test_a_file_renamed_onto_another_changes_that_one(tree: Path) -> None:
    known = rows(scanned(tree))
    (tree / "a").replace(tree / "b")
    plan = decide(known, scanned(tree))
    assert ([e.path for e in plan.changed], plan.deleted, plan.renamed) == (["b"], ["a"], [])


def test_a_chain_of_renames_converges(tree: Path) -> None:
    """As logs rotate: b to c, then a to b. Both present paths changed, and none is renamed onto a known path."""
    known = rows(scanned(tree))
    (tree / "b").replace(tree / "c")
    (tree / "a").rename(tree / "b")
    plan = decide(known, scanned(tree))
    assert ([e.path for e in plan.changed], plan.deleted, plan.renamed) == (["b", "c"], ["a"], [])
    assert decide(applied(known, plan), scanned(tree)).is_empty


def test_hard_links_are_never_guessed_at(tree: Path) -> None:
    os.link(tree / "a", tree / "a2")
    known = rows(scanned(tree))
    (tree / "a").unlink()
    (tree / "a2").rename(tree / "n")
    plan = decide(known, scanned(tree))
    assert ([e.path for e in plan.new], plan.deleted, plan.renamed) == (["n"], ["a", "a2"], [])


def test_an_inode_used_again_under_a_timestamp_set_by_a_tool_is_read_again() -> None:
    """Unpacked archives share whole-second times, so another file of that size can show a deleted one's stamp."""
    known = {"old": (10, 1_700_000_000 * 10**9, 7, True), "other": (10, TICK, 8, True)}
    listing = [Entry("new", 10, 1_700_000_000 * 10**9, 7), Entry("moved", 10, TICK, 8)]
    assert {r.old: r.settled for r in decide(known, listing).renamed} == {"old": False, "other": True}


def test_what_is_not_settled_is_tried_again_also_after_a_rename() -> None:
    known = {"a": (1, TICK, 1, False), "b": (2, TICK, 2, False), "c": (3, TICK, 3, True)}
    plan = decide(known, [Entry("a", 1, TICK, 1), Entry("n", 2, TICK, 2), Entry("c", 3, TICK, 3)])
    assert [entry.path for entry in plan.retry] == ["a"]
    assert [(r.old, r.settled) for r in plan.renamed] == [("b", False)]
    assert plan.unchanged == 1


def test_a_file_that_became_empty_or_a_fifo_is_deleted_and_named(tree: Path) -> None:
    known = rows(scanned(tree))
    (tree / "a").write_bytes(b"")
    (tree / "b").unlink()
    os.mkfifo(tree / "b")
    plan = decide(known, scanned(tree))
    assert plan.deleted == ["a", "b"]
    assert [(o.path, o.reason) for o in plan.oddities] == [("a", "empty"), ("b", "not a regular file")]


def test_a_sibling_whose_name_begins_like_an_unknown_directory_is_not_sheltered() -> None:
    known = {path: (1, TICK, number, True) for number, path in enumerate(["a/x", "a.b", "ab/x", "a"])}
    plan = decide(known, [Oddity("a", "failed", "unreadable", unknown=True)])
    assert plan.deleted == ["a.b", "ab/x"]
    assert plan.sheltered == 2


# -- the valve and the racy rule --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deletions", "known", "stops"),
    [(49, 49, False), (50, 50, True), (50, 100, False), (51, 100, True), (500, 1001, False), (0, 0, False)],
)
def test_a_sync_that_would_delete_most_of_a_source_stops_with_the_counts(
    deletions: int, known: int, stops: bool
) -> None:
    plan = Plan(deleted=[str(number) for number in range(deletions)])
    if not stops:
        check_mass_delete(plan, known, SourceOptions())
        return
    with pytest.raises(MassDelete, match="--allow-mass-delete") as refused:
        check_mass_delete(plan, known, SourceOptions())
    assert refused.value.context == {"deletions": deletions, "known": known}


def test_renames_do_not_count_as_deletions(tree: Path) -> None:
    known = rows(scanned(tree))
    (tree / "dir").rename(tree / "moved")
    for name in "abc":
        (tree / name).rename(tree / f"{name}2")
    check_mass_delete(
        decide(known, scanned(tree)), len(known), SourceOptions(mass_delete_min=1, mass_delete_ratio=0.01)
    )


@pytest.mark.parametrize(
    ("age_ns", "racy"),
    [(0, True), (RACY_NS, True), (RACY_NS + 1, False), (-RACY_NS, True), (-2 * DAY, False), (DAY, False)],
)
def test_a_file_edited_within_a_tick_of_the_scan_is_racy(age_ns: int, racy: bool) -> None:
    """A little in the future is a server's clock; two days in the future is a camera's, and any edit would show."""
    assert is_racy(TICK - age_ns, TICK) is racy
