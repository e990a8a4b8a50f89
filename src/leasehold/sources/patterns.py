"""Patterns: which files of a folder are taken at all.

Three rules, in this order, with the meaning they have in a `.gitignore` (the last line that matches decides):

1. What is never a document is excluded without being asked: `BUILTIN_LINES` below.
2. `exclude` adds lines after those, so `!venv/` takes a built-in one back. As in git, a directory that is excluded is
   not entered, and nothing below it can be taken back: write `!venv/`, `venv/*`, `!venv/notes.md`. As in git, what is
   taken back is that directory and not the `node_modules` in it. (pathspec's own matcher asks about all parts of a
   path at once and would take both; hence `_Line`, which asks about one path, its parents having been asked before.)
3. `include`, when given, keeps only files that match one of its lines, or lie below a directory that does; `!` takes
   out again. A directory is entered whatever `include` says. It never brings back what is excluded.

Patterns see the path as it is printed (`paths`), except that a percent sign may stand for itself.

`venv` and `.venv` are both excluded: either is thousands of other people's files, and a folder of documents that
happens to be called so is one `!venv/` away. Hidden files are *not* excluded as such.

Cost: without patterns of the user's own, a set look-up and two comparisons per file; pathspec is not called, nor
imported. With them, 1 to 4 us per file more.

A line that git would silently drop (an unclosed bracket, a reversed range), that no path can match (`./docs`, `a//b`)
or that is not understood (`[[:alpha:]]`) is refused: a typing error that excludes nothing costs money.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from leasehold.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class _Line(NamedTuple):
    """One exclude line, asked about one file or directory itself (a directory's path ends in '/')."""

    verdict: bool
    regex: re.Pattern[str]
    directory: bool
    """A last slash: it speaks of directories only."""
    by_name: bool
    """No slash but a last one: git then matches the name alone."""
    inside: bool
    """`x/**`: what is in x, not x itself."""

    def speaks_of(self, name: str, path: str) -> bool:
        if self.directory and not path.endswith("/"):
            return False
        if self.by_name:
            return self.regex.search(name) is not None
        if self.inside:
            found = self.regex.search(path)
            return found is not None and found.end() < len(path)
        return self.regex.fullmatch(path) is not None


class Patterns:
    """The rules for one scan.

    Raises:
        UsageError: at once, when a line means nothing.
    """

    __slots__ = ("_exclude", "_include", "_takes_back")

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = _include_spec(include) if include else None
        self._exclude = _exclude_lines(exclude) if exclude else ()
        self._takes_back = not all(line.verdict for line in self._exclude)

    def leaves_out(self, name: str, path: str) -> bool:
        """Whether the file called `name` at item path `path` is not taken. Its directories are not asked again."""
        if self.excludes(name, path):
            return True
        return self._include is not None and not self._include.match_file(_seen(path))

    def excludes(self, name: str, path: str) -> bool:
        """Whether an exclude line, built in or given, decides against this file (`include` is not asked)."""
        builtin = is_clutter(name)
        if not self._exclude or (builtin and not self._takes_back):
            return builtin
        return self._decide(_seen(name), _seen(path), builtin)

    def prunes(self, name: str, path: str) -> bool:
        """Whether the directory called `name` at item path `path` is not entered."""
        builtin = name in DIRECTORIES or is_clutter(name)
        if not self._exclude or (builtin and not self._takes_back):
            return builtin
        return self._decide(f"{_seen(name)}/", f"{_seen(path)}/", builtin)

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

    def _decide(self, name: str, path: str, builtin: bool) -> bool:
        for line in self._exclude:
            if line.speaks_of(name, path):
                return line.verdict
        return builtin


def is_clutter(name: str) -> bool:
    """Whether a file or directory of this name is excluded by the built-in lines that speak of both."""
    return (
        name in NAMES
        or name.endswith(SUFFIXES)
        or name.startswith(PREFIXES)
        or (name[0] == "#" and name[-1] == "#" and len(name) > 1)
    )


def _include_spec(lines: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    verdicts = [verdict for _, verdict, _ in _compiled("include", lines)]
    if not any(verdicts):
        raise UsageError(
            "source.include has only lines that take files out, so it would take none.",
            remedy="Give these lines to source.exclude, without the '!'.",
        )
    return GitIgnoreSpec.from_lines([_seen(line) for line in lines], backend="simple")


def _exclude_lines(lines: Sequence[str]) -> tuple[_Line, ...]:
    """The lines in the order they are asked: the last one given first."""
    found = []
    for text, verdict, regex in _compiled("exclude", lines):
        shape = text.rstrip().removeprefix("!").removesuffix("/")
        anywhere = shape.removeprefix("/").removeprefix("**/") if "**/" in shape else shape
        by_name = "/" not in anywhere or shape == "/**"
        directory = text.rstrip().endswith("/")
        found.append(_Line(verdict, regex, directory, by_name, inside=shape.endswith("/**")))
    return tuple(reversed(found))


def _compiled(option: str, lines: Sequence[str]) -> Iterator[tuple[str, bool, re.Pattern[str]]]:
    """Each line that says something, compiled. Refused: what pathspec refuses, what it drops without a word as git
    does, and what no path can match."""
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        parts = line.rstrip().removeprefix("!").removeprefix("/").removesuffix("/").split("/")
        if "\n" in line or "\0" in line or "[[:" in line or not {"", ".", ".."}.isdisjoint(parts):
            raise _refusal(option, line)
        try:
            pattern = GitIgnoreSpecPattern(_seen(line))
        except (ValueError, re.error) as exc:
            raise _refusal(option, line) from exc
        if pattern.include is None or pattern.regex is None:
            raise _refusal(option, line)
        yield line, pattern.include, pattern.regex


def _refusal(option: str, line: str) -> UsageError:
    return UsageError(
        f"source.{option} has a pattern that is not understood or matches nothing: {line!r}.",
        remedy=r"Write it as in a .gitignore; put a backslash before [, !, # or a space that is meant as such.",
    )


def _seen(path: str) -> str:
    return path.replace("%25", "%") if "%" in path else path
