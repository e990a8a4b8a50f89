"""Whatever is done to a folder between ingests, the collection ends as if it had been ingested once, from nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents_by_hand import Library
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.one_server

NAMES = ("a.txt", "b.md", "sub/c.txt", "sub/d.py", "e.txt")
TEXTS = ("alpha words\n", "beta words\n", "# gamma\n\nwords below\n", "", " \n", "delta " * 300)

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(NAMES), st.sampled_from(TEXTS)),
        st.tuples(st.just("edit"), st.sampled_from(NAMES), st.sampled_from(TEXTS)),
        st.tuples(st.just("delete"), st.sampled_from(NAMES), st.just("")),
        st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("duplicate"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("ingest"), st.sampled_from(("default", "small chunks")), st.just("")),
    ),
    min_size=3,
    max_size=14,
)


@pytest.fixture
def places(databases: Any, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    with databases.clone() as url:
        yield url, tmp_path


def change(folder: Path, operation: str, name: str, other: str) -> None:
    file = folder / name
    if operation == "write" or (operation == "edit" and file.exists()):
        file.parent.mkdir(exist_ok=True)
        file.write_text(other)
    elif not file.exists():
        return
    elif operation == "delete":
        file.unlink()
    elif name != other and operation in ("rename", "duplicate"):
        (folder / other).parent.mkdir(exist_ok=True)
        (file.rename if operation == "rename" else lambda to: shutil.copyfile(file, to))(folder / other)


FOUND_AS_IT_IS = (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking takes longer than the test's timeout, and hides what was found."""


@settings(
    max_examples=12, phases=FOUND_AS_IT_IS, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
@given(operations=OPERATIONS)
def test_any_sequence_of_changes_and_ingests_ends_as_one_ingest_from_nothing(
    places: tuple[str, Path], operations: list[tuple[str, str, str]]
) -> None:
    url, tmp_path = places
    folder = tmp_path / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    library = Library(url, folder)
    collection = f"by steps {library.one('select count(*) from leasehold.collection')}"
    always = {"collection": collection, "allow_mass_delete": True}
    for operation, name, other in operations:
        if operation == "ingest":
            library.ingest(chunk_size=200 if name == "small chunks" else None, **always)
        else:
            change(folder, operation, name, other)
    report = library.ingest(**always)
    files = sum(one.is_file() for one in folder.rglob("*"))
    assert report.seen == files == sum(report.count(state) for state in report.verdicts)
    at_once = f"{collection}, at once"
    library.ingest(collection=at_once)
    assert library.digest(collection) == library.digest(at_once)
    library.session.close()
