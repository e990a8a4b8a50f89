"""SQL lives in files, one statement or function each; this loads them by package and name, once per process."""

from __future__ import annotations

import functools
from importlib.resources import files

FUNCTION_MARKS = ("create or replace function", "create or replace view")


@functools.cache
def load(package: str, name: str) -> str:
    """The text of `package`/sql/`name`.sql, comments included (they cost nothing and show in pg_stat_activity)."""
    return (files(package) / "sql" / f"{name}.sql").read_text("utf-8")


@functools.cache
def routines(package: str) -> tuple[tuple[str, str], ...]:
    """Name and text of every file in `package`/sql that creates a function or view, in name order."""
    found = []
    for entry in (files(package) / "sql").iterdir():
        if entry.name.endswith(".sql"):
            text = entry.read_text("utf-8")
            if any(mark in text for mark in FUNCTION_MARKS):
                found.append((entry.name.removesuffix(".sql"), text))
    return tuple(sorted(found))
