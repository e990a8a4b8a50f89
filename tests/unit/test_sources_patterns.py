"""Include, exclude and what is excluded unasked; git is the oracle for what a line means."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leasehold.errors import UsageError
from leasehold.options import SourceOptions
from leasehold.sources.folder import Entry, ScanCounts, scan
from leasehold.sources.patterns import BUILTIN_LINES, Patterns


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def taken(root: Path, *, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> set[str]:
    listing = scan(root, SourceOptions(include=include, exclude=exclude))
    return {listed.path for listed in listing if isinstance(listed, Entry)}


# -- built in ---------------------------------------------------------------------------------------------------------


def test_what_is_never_a_document_is_excluded_unasked_and_counted(tmp_path: Path) -> None:
    """A pruned directory counts one, whatever is below it; files count one each."""
    write(tmp_path, "a.md", ".hidden.md", ".git/config", "x/node_modules/p/q.js", "x/.venv/y.py", "venv/y.py")
    write(tmp_path, "m.pyc", ".DS_Store", "x/.a.md.swp", "a.md~", "~$a.docx", ".~lock.a.odt#", "#a.md#", "sub/.git")
    counts = ScanCounts()
    listing = list(scan(tmp_path, SourceOptions(), counts))
    assert [listed.path for listed in listing] == [".hidden.md", "a.md"]
    assert (counts.excluded_directories, counts.excluded_files) == (4, 8)
    assert (counts.files, counts.directories, counts.oddities) == (2, 3, 0)


def test_a_name_that_only_resembles_a_built_in_exclude_is_taken(tmp_path: Path) -> None:
    paths = {"git/a.md", "venv.md", "node_modules.md", "#general.md", "C#", "a.pycx", "x/env/a.md", "#"}
    write(tmp_path, *paths)
    assert taken(tmp_path) == paths


def test_without_patterns_of_the_users_own_pathspec_is_not_even_imported(tmp_path: Path) -> None:
    """The price of a pattern library is not paid by those who use none. Method: a fresh interpreter looks."""
    write(tmp_path, "a.md")
    script = """
import sys
from pathlib import Path
from leasehold.options import SourceOptions
from leasehold.sources.folder import scan
assert len(list(scan(Path(sys.argv[1]), SourceOptions()))) == 1
assert "pathspec" not in sys.modules
assert len(list(scan(Path(sys.argv[1]), SourceOptions(exclude=("b",))))) == 1
assert "pathspec" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


def test_a_built_in_exclude_is_taken_back_by_the_user(tmp_path: Path) -> None:
    write(tmp_path, "venv/notes.md", "venv/lib.md", "venv/node_modules/x.md", "venv/x.pyc", "a.swp")
    assert taken(tmp_path, exclude=("!venv/",)) == {"venv/notes.md", "venv/lib.md"}
    assert taken(tmp_path, exclude=("!venv/", "venv/*", "!venv/notes.md")) == {"venv/notes.md"}
    assert taken(tmp_path, exclude=("!*.swp",)) == {"a.swp"}


def test_taking_a_directory_back_does_not_take_back_what_is_excluded_in_it(tmp_path: Path) -> None:
    """`docs/*` and `!docs/manual/` is how git users say "only the manual"; it must not bring in node_modules."""
    write(tmp_path, "docs/manual/a.md", "docs/manual/node_modules/b.md", "docs/other/c.md", "d.md")
    assert taken(tmp_path, exclude=("docs/*", "!docs/manual/")) == {"docs/manual/a.md", "d.md"}


# -- the user's own ---------------------------------------------------------------------------------------------------


def test_include_keeps_only_what_matches_and_never_brings_back_what_is_excluded(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "a.txt", "docs/b.md", "docs/deep/c.txt", "node_modules/d.md", "old/e.md")
    assert taken(tmp_path, include=("*.md",)) == {"a.md", "docs/b.md", "old/e.md"}
    assert taken(tmp_path, include=("docs/",)) == {"docs/b.md", "docs/deep/c.txt"}
    assert taken(tmp_path, include=("docs/", "!docs/deep/")) == {"docs/b.md"}
    assert taken(tmp_path, include=("*.md",), exclude=("/old",)) == {"a.md", "docs/b.md"}


def test_files_left_out_by_include_are_counted_as_excluded(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "a.txt", "x/b.txt")
    counts = ScanCounts()
    list(scan(tmp_path, SourceOptions(include=("*.md",)), counts))
    assert (counts.files, counts.excluded_files, counts.excluded_directories) == (1, 2, 0)


def test_an_excluded_directory_is_not_entered(tmp_path: Path) -> None:
    """Method: below it stands a FIFO, which would show as an oddity to whoever looks."""
    write(tmp_path, "a.md", "drafts/b.md")
    os.mkfifo(tmp_path / "drafts" / "fifo")
    counts = ScanCounts()
    listing = list(scan(tmp_path, SourceOptions(exclude=("drafts",)), counts))
    assert [listed.path for listed in listing] == ["a.md"]
    assert (counts.directories, counts.excluded_directories) == (1, 1)


def test_patterns_match_names_as_written_and_as_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"two\nlines \xff")).write_text("x")
    write(tmp_path, "100%.md", "a.md")
    assert taken(tmp_path) == {"100%25.md", "a.md", "two%0Alines %FF"}
    assert taken(tmp_path, exclude=("100%.md",)) == {"a.md", "two%0Alines %FF"}
    assert taken(tmp_path, exclude=("100%25.md", "two%0Alines %FF")) == {"a.md"}
    assert taken(tmp_path, include=("two*",)) == {"two%0Alines %FF"}


@pytest.mark.parametrize(
    "line", ["[", "a[bc", "[z-a]", "!", "/", "a\\", "./docs", "../x", "a//b", "[[:alpha:]]", "a\nb"]
)
@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_line_that_can_match_nothing_is_refused_before_anything_is_listed(option: str, line: str) -> None:
    """git drops such lines without a word. The error comes from `scan` itself, not from its first entry."""
    with pytest.raises(UsageError, match=rf"source\.{option} .*\.gitignore"):
        scan(Path("/nowhere"), replace(SourceOptions(), **{option: ("*.md", line)}))  # type: ignore[arg-type]


def test_an_include_that_only_takes_out_is_refused() -> None:
    with pytest.raises(UsageError, match="it would take none"):
        Patterns(include=("!*.tmp", "# comment", ""))


def test_comments_and_blank_lines_are_allowed(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "#x")
    assert taken(tmp_path, exclude=("# all of it", "", "  ", r"\#x")) == {"a.md"}


NAMES = ["a", "b", "a.md", "b.pyc", "node_modules", "venv", "c~", "#x#"]
ATOMS = ["a", "b", "*.md", "*.pyc", "node_modules", "venv", "*", "**", "?", "[ab]", "a*", "c~"]
FILES = st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join), min_size=1, max_size=12)
LINES = st.builds(
    lambda negated, rooted, parts, directory: f"{negated}{rooted}{'/'.join(parts)}{directory}",
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES, st.lists(LINES, max_size=4))
def test_exclude_means_what_git_means_by_it(files: set[str], lines: list[str]) -> None:
    """Method: a random tree and random lines; `git ls-files` with the built-in lines before ours must list the same."""
    with tempfile.TemporaryDirectory() as place:
        root, repository = Path(place, "root"), Path(place, "repository")
        write(root, *(file for file in files if not any(other.startswith(f"{file}/") for other in files)))
        Path(place, "exclude").write_text("".join(f"{line}\n" for line in (*BUILTIN_LINES, *lines)))
        subprocess.run(["git", "init", "-q", "--bare", repository], check=True, capture_output=True)
        command = ["git", f"--git-dir={repository}", f"--work-tree={root}", "ls-files", "-o", "-z"]
        git = subprocess.run([*command, f"--exclude-from={place}/exclude"], cwd=root, check=True, capture_output=True)
        assert taken(root, exclude=tuple(lines)) == {path.decode() for path in git.stdout.split(b"\0") if path}
