"""Filters: a search looks at what was asked for and at nothing else; and the text around an answer."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from documents_by_hand import Library

from leasehold.documents.filters import Filter, pattern_to_regex, why_nothing
from leasehold.documents.search import search
from leasehold.errors import NotFound, UsageError

FILES = {
    "roof.md": "# Roof\n\nThe slate roof is old.\n",
    "letters/2024/roof.txt": "A letter on the slate roof.\n",
    "letters/garden.md": "# Garden\n\nSlate plates on the garden path.\n",
    "code/roof.py": 'ROOF = "slate roof"\n',
    "odd names/100%_[x].md": "Slate in an odd name.\n",
    "copy/of/letter.txt": "A letter on the slate roof.\n",
}

ODD = "odd names/100%25_[x].md"
"""As it is stored: a percent sign is spelled so."""


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = Library(database, tmp_path / "folder")
    for name, text in FILES.items():
        made.folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        made.write(name, text)
    for name, day in (("roof.md", "2024-01-31"), ("code/roof.py", "2024-02-01")):
        seconds = time.mktime(time.strptime(day, "%Y-%m-%d"))
        os.utime(made.folder / name, (seconds, seconds))
    assert made.ingest().outcome == "complete"
    yield made
    made.session.close()


def paths(library: Library, **conditions: object) -> set[str]:
    answers = search(library.session, "slate roof", collection="default", limit=50, only=Filter(**conditions))  # type: ignore[arg-type]
    return {one.path for one in answers}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("roof.md",), {"roof.md"}),
        (("roof.*",), {"roof.md", "letters/2024/roof.txt", "code/roof.py"}),
        (("/roof.*",), {"roof.md"}),
        (("letters/**",), {"letters/2024/roof.txt", "letters/garden.md"}),
        (("letters/",), {"letters/2024/roof.txt", "letters/garden.md"}),
        (("letters/*",), {"letters/garden.md"}),
        (("**/roof.txt",), {"letters/2024/roof.txt"}),
        (("letters/????/*",), {"letters/2024/roof.txt"}),
        (("100%_[x].md",), {ODD}),
        (("code/*", "/roof.md"), {"code/roof.py", "roof.md"}),
        (("nothing",), set()),
        ((".*",), set()),
    ],
)
def test_paths_are_matched_as_patterns_of_file_names(library, patterns, expected):
    assert paths(library, paths=patterns) == expected


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("text/markdown",), {"roof.md", "letters/garden.md", ODD}),
        (("markdown",), {"roof.md", "letters/garden.md", ODD}),
        ((".PY",), {"code/roof.py"}),
        (("py", "text/plain"), {"code/roof.py", "copy/of/letter.txt"}),
        (("pdf",), set()),
    ],
)
def test_types_are_media_types_their_halves_or_endings(library, types, expected):
    assert paths(library, types=types) == expected


def test_dates_are_days_here_the_first_included_the_second_not(library):
    assert paths(library, after=date(2024, 1, 31), before=date(2024, 2, 1)) == {"roof.md"}
    assert paths(library, after=date(2024, 2, 1), before=date(2024, 2, 2)) == {"code/roof.py"}
    assert "roof.md" not in paths(library, after=date(2024, 2, 1))
    with pytest.raises(UsageError, match="No day"):
        paths(library, after=date(2024, 2, 1), before=date(2024, 2, 1))


def test_all_conditions_must_hold(library):
    assert paths(library, paths=("roof.*",), types=("markdown",)) == {"roof.md"}


def test_a_document_under_two_paths_is_answered_by_the_one_that_is_allowed(library):
    """letters/2024/roof.txt and copy/of/letter.txt have the same content."""
    only = Filter(paths=("letters/**",), types=("txt",))
    (answer,) = search(library.session, "slate letter", collection="default", only=only)
    assert (answer.path, answer.copies) == ("letters/2024/roof.txt", 1)


def test_a_source_is_named_by_its_folder_or_its_uri(library, tmp_path):
    other = Library(library.url, tmp_path / "other")
    other.folder.mkdir()
    other.write("slate.md", "Another slate roof.\n")
    other.ingest()
    uri = library.one("select uri from leasehold.source where root like '%%/other'")
    for name in (str(other.folder), str(tmp_path / "folder" / ".." / "other"), uri):
        assert paths(library, sources=(name,)) == {"slate.md"}
    with pytest.raises(NotFound, match="no source"):
        paths(library, sources=("elsewhere",))
    other.session.close()


def test_filters_also_hold_where_the_nearest_of_all_are_not_allowed(library):
    """Two hundred nearer documents outside the filter, more than a search looks at without one."""
    for number in range(200):
        library.write(f"near{number}.txt", f"slate roof slate roof {number}\n")
    library.ingest()
    assert paths(library, paths=("letters/garden.md",)) == {"letters/garden.md"}


@pytest.mark.parametrize("pattern", ["", "/", " "])
def test_an_empty_pattern_is_refused(pattern):
    with pytest.raises(UsageError, match="empty"):
        pattern_to_regex(pattern)


@pytest.mark.parametrize("name", ["a.b", "a+b", "(x)", "a|b", "^a$", "a\\b", "a{2}", "100%", "é[1]", "a b", "-"])
def test_whatever_a_name_has_in_it_it_matches_itself_alone(name):
    regex = pattern_to_regex(name.replace("%", "%")).replace("%25", "%")
    assert re.search(regex.replace("%5C", r"\\"), name) or "\\" in name
    assert not re.search(regex, f"x{name}")


def test_the_text_around_an_answer_is_given_in_order(library):
    parts = [f"## Part {n}\n\n" + f"word{n} " * 150 for n in range(9)]
    library.write("long.md", "\n\n".join(parts))
    library.ingest()
    answer = search(library.session, "word4", collection="default", limit=1, around=2)[0]
    told = [re.findall(r"word(\d)", text)[0] for text in (*answer.before, answer.text, *answer.after)]
    assert told == sorted(told)
    assert "4" in told
    assert 3 <= len(told) <= 5
    first = search(library.session, "word0", collection="default", limit=1, around=1)[0]
    assert first.before == []
    with pytest.raises(UsageError, match="--around 21"):
        search(library.session, "x", collection="default", around=21)


def test_highlights_are_the_words_of_the_question_in_the_snippet(library):
    only = Filter(paths=("/roof.md",))
    (answer,) = search(library.session, "the old roof", collection="default", limit=1, only=only)
    assert [answer.snippet[start:end] for start, end in answer.highlights] == ["roof", "old"]


def test_a_filter_that_lets_nothing_through_is_told_from_a_question_without_an_answer(library):
    assert "of the type nosuch; there are" in why_nothing(library.session, "default", Filter(types=("nosuch",)))
    assert "text/markdown" in why_nothing(library.session, "default", Filter(types=("nosuch",)))
    path = Filter(types=("md",), paths=("nowhere/*",))
    assert "let through" in why_nothing(library.session, "default", path)
    assert not why_nothing(library.session, "default", Filter(types=("md",)))
    assert not why_nothing(library.session, "default", Filter())
