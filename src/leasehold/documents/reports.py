"""Reports: what a person asks about sources and what became of their items."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.documents.rows import PACKAGE
from leasehold.sources.paths import decode_path


@dataclass(frozen=True, slots=True)
class Trouble:
    """An item that failed or was skipped, with what happened and what can be done."""

    uri: str
    path: str
    state: str
    reason: str
    detail: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Noted:
    """A stored item with what its reader noted: members that were not read, pages without text, a guessed encoding."""

    uri: str
    path: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source with what it holds, by state."""

    source_id: int
    uri: str
    file: str
    """The root as this host's file system spells it."""
    collection: str
    seen: int
    scanned_at: datetime | None
    complete_scan: bool
    states: dict[str, int]

    @property
    def name(self) -> str:
        """What the kernel, and so a pause, calls it (as `sync.Source.name`)."""
        return f"{self.collection}:{self.uri}"


def source_states(session: Session, collection: str | None = None) -> list[SourceState]:
    """Every source (of *collection*) with its counts by state: stored, skipped, failed, pending."""
    rows = session.fetch(load(PACKAGE, "sources"), {"collection": collection})
    states: dict[int, dict[str, int]] = {row[0]: {} for row in rows}
    for source_id, state, _, n in session.fetch(load(PACKAGE, "verdicts"), {"sources": list(states)}):
        states[source_id][state] = states[source_id].get(state, 0) + n
    return [
        SourceState(
            source_id, uri, os.fsdecode(decode_path(root)), name, seen or 0, at, bool(applied), states[source_id]
        )
        for source_id, uri, root, name, seen, applied, at in rows
    ]


def troubles(
    session: Session, *, states: Sequence[str], sources: Sequence[int] | None = None, limit: int = 100
) -> list[Trouble]:
    """Items in *states* (failed, skipped) of *sources* (None: all), grouped by reason, at most *limit*."""
    if sources is None:
        sources = [row[0] for row in session.fetch(load(PACKAGE, "sources"), {"collection": None})]
    params = {"sources": list(sources), "states": list(states), "limit": limit}
    found = []
    for uri, path, state, reason, detail, remedy in session.fetch(load(PACKAGE, "troubles"), params):
        what, _, mend = detail.partition(" -> ")
        found.append(Trouble(uri, path, state, reason, what, remedy or mend))
    return found


def noted(session: Session, sources: Sequence[int] | None = None, *, limit: int) -> tuple[list[Noted], int]:
    """Stored items that were not read whole, or not exactly, of *sources* (None: all), at most *limit*; how many."""
    if sources is None:
        sources = [row[0] for row in session.fetch(load(PACKAGE, "sources"), {"collection": None})]
    rows = session.fetch(load(PACKAGE, "noted"), {"sources": list(sources), "limit": limit})
    return [Noted(uri, path, notes.split("\n")) for uri, path, notes, _ in rows], rows[0][3] if rows else 0


def failed_runs(session: Session) -> dict[int, list[int]]:
    """Failed runs that are still the newest of their items, by group."""
    return dict(session.fetch(load(PACKAGE, "failed_runs")))


def items_at(session: Session, path: str) -> list[dict[str, Any]]:
    """Items whose file is at *path* (a path within a source, or its end), newest source first; at most 10."""
    names = ("uri", "path", "state", "reason", "run_id", "collection")
    rows = session.fetch(load(PACKAGE, "items_at"), {"path": path, "ending": "%/" + _escaped(path)})
    return [dict(zip(names, row, strict=True)) for row in rows]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def stored_paths(session: Session, collection: str, *, limit: int) -> list[str]:
    """Decoded paths of stored items of *collection* whose content no other item of it shares, in order."""
    rows = session.fetch(load(PACKAGE, "stored_paths"), (collection, limit))
    return [os.fsdecode(decode_path(row[0])) for row in rows]
