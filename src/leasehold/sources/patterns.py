"""Patterns: which files of a folder are taken at all.

Three rules, in this order, with the meaning they have in a `.gitignore` (the last line that matches decides):

1. What is never a document is excluded without being asked: `BUILTIN_LINES` below.
2. `exclude` adds lines after those, so `!venv/` takes a built-in one back. As in git, a directory that is excluded is
   not entered, and nothing below it can be taken back: write `!venv/`, `venv/*`, `!venv/notes.md`.
3. `include`, when given, keeps only files that match one of its lines; `!` takes out again. It speaks of files: a
   directory is entered whatever it says. `include` never brings back what is excluded.

Patterns see the path as it is printed (`paths`), except that a percent sign may stand for itself.

`venv` and `.venv` are both excluded: either is thousands of other people's files, and a folder of documents that
happens to be called so is one `!venv/` away. Hidden files are *not* excluded as such.

Cost: without patterns of the user's own, a set look-up and two comparisons per file; pathspec is not called, nor
imported. With them, pathspec's price (about 3 to 6 us per file).

A line that git would silently drop (an unclosed bracket, a reversed range), that no path can match (`./docs`, `a//b`)
or that is not understood (`[[:alpha:]]`) is refused: a typing error that excludes nothing costs money.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leasehold.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pathspec import GitIgnoreSpec

DIRECTORIES = {
    *(".hg", ".svn", ".bzr"),
    *("node_modules", "venv", ".venv", ".tox", ".nox"),
    *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"),
    *(".Trashes", ".Spotlight-V100", ".fseventsd", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
}
NAMES = {".git", ".DS_Store", "Thumbs.db", "desktop.ini"}
"""Excluded as file and as directory, as are the two below: in a git worktree or submodule `.git` is a file."""
SUFFIXES = (".pyc", ".pyo", ".swp", ".swo", "~")
"""Compiled Python; the swap files of vim; the backups of many editors."""
PREFIXES = (".#", "~$", ".~lock.", "._", ".nfs")
"""Lock files of Emacs, Office and LibreOffice; resource forks; files deleted on NFS while open."""

BUILTIN_LINES = (
    *sorted(f"{name}/" for name in DIRECTORIES),
    *sorted(NAMES),
    *(f"*{suffix}" for suffix in SUFFIXES),
    *(f"{prefix}*" for prefix in PREFIXES),
    r"\#*#",  # the autosaves of Emacs
)
"""The built-in excludes as gitignore lines. `Patterns` answers the same from the sets above; a test compares them."""


class Patterns:
    """The rules for one scan.

    Raises:
        UsageError: at once, when a line means nothing.
    """

    __slots__ = ("_exclude", "_include", "_taking_back")

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = _compile("include", include) if include else None
        self._exclude = _compile("exclude", exclude) if exclude else None
        taking_back = any(line.startswith("!") for line in exclude)
        self._taking_back = _compile("exclude", (*BUILTIN_LINES, *exclude)) if taking_back else None

    def leaves_out(self, name: str, path: str) -> bool:
        """Whether the file called `name` at item path `path` is not taken. Its directories are not asked again."""
        if self.excludes(name, path):
            return True
        return self._include is not None and not self._include.match_file(_seen(path))

    def excludes(self, name: str, path: str) -> bool:
        """Whether an exclude line, built in or given, matches this file (`include` is not asked)."""
        if is_clutter(name):
            return self._taking_back is None or self._taking_back.match_file(_seen(path))
        return self._exclude is not None and self._exclude.match_file(_seen(path))

    def prunes(self, name: str, path: str) -> bool:
        """Whether the directory called `name` at item path `path` is not entered."""
        if name in DIRECTORIES or is_clutter(name):
            return self._taking_back is None or _matches_directory(self._taking_back, path)
        return self._exclude is not None and _matches_directory(self._exclude, path)

    def excludes_on_the_way(self, path: str) -> bool:
        """Whether a file at `path` is excluded, itself or by a directory above it. For targets of links."""
        *above, name = path.split("/")
        walked = ""
        for part in above:
            walked += part
            if self.prunes(part, walked):
                return True
            walked += "/"
        return self.excludes(name, path)


def is_clutter(name: str) -> bool:
    """Whether a file or directory of this name is excluded by the built-in lines that speak of both."""
    return (
        name in NAMES
        or name.endswith(SUFFIXES)
        or name.startswith(PREFIXES)
        or (name[0] == "#" and name[-1] == "#" and len(name) > 1)
    )


def _compile(option: str, lines: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    for line in lines:
        _check(option, line)
    spec = GitIgnoreSpec.from_lines([line.replace("%25", "%") for line in lines], backend="simple")
    if option == "include" and not any(pattern.include for pattern in spec.patterns):
        raise UsageError(
            "source.include has only lines that take files out, so it would take none.",
            remedy="Give these lines to source.exclude, without the '!'.",
        )
    return spec


def _check(option: str, line: str) -> None:
    """Refuse what pathspec refuses, what it drops without a word as git does, and what no path can match."""
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if line.startswith("#") or not line.strip():
        return
    parts = line.rstrip().removeprefix("!").strip("/").split("/")
    never = "\n" in line or "\0" in line or not {"", ".", ".."}.isdisjoint(parts)
    try:
        if never or "[[:" in line or GitIgnoreSpecPattern(line).include is None:
            raise _refusal(option, line)
    except (ValueError, re.error) as exc:
        raise _refusal(option, line) from exc


def _refusal(option: str, line: str) -> UsageError:
    return UsageError(
        f"source.{option} has a pattern that is not understood or matches nothing: {line!r}.",
        remedy=r"Write it as in a .gitignore; put a backslash before [, !, # or a space that is meant as such.",
    )


def _matches_directory(spec: GitIgnoreSpec, path: str) -> bool:
    """`x/**` excludes all that is in x but not x itself, so a later `!` line may still take something back."""
    found = spec.check_file(f"{_seen(path)}/")
    if not found.include or found.index is None:
        return False
    line = str(spec.patterns[found.index].pattern)
    may_come_back = any(pattern.include is False for pattern in spec.patterns[found.index + 1 :])
    return not (may_come_back and line.rstrip().endswith("/**"))


def _seen(path: str) -> str:
    return path.replace("%25", "%") if "%" in path else path
