"""Applying a plan: one page, one transaction, under the source's row lock and then its items' locks, in id order.

Everything here looks again at what it finds and may be done twice: by two ingests, or because a commit's reply was
lost. What is settled or under way as the plan wants it is left alone, so nothing is started twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents.recipes import pipelines
from leasehold.documents.rows import PACKAGE
from leasehold.kernel import groups
from leasehold.sources.folder import Vanished, open_item
from leasehold.sources.plan import Entry, Oddity, Rename, is_racy
from leasehold.stores import pg
from leasehold.types import StepError

if TYPE_CHECKING:
    from leasehold.documents.sync import Source

T = TypeVar("T")
PAGE = 500
"""Rows in one transaction: some 30 ms of locks."""
AGAIN = ("unreadable", "over max_bytes", "read error", "source is not there", "outside the source", "its input is gone")
"""Failures that a person may have mended outside the file (rights, a limit, a mount): each ingest tries them again.
Looking costs one open; nothing is read, parsed or paid for unless it works."""


@dataclass(frozen=True, slots=True)
class Started:
    """What became of one page: runs that were started, and items that an older run still has at another stat."""

    runs: int
    busy: int


def pages(things: Sequence[T], size: int = PAGE) -> Iterator[list[T]]:
    walker = iter(things)
    while page := list(islice(walker, size)):
        yield page


def known_rows(
    connection: Connection, source_id: int, current: Sequence[bytes], paths: Sequence[str] | None = None
) -> list[tuple[Any, ...]]:
    """(path, size, mtime_ns, inode, settled, only to be looked at) of the source's items; *current*: its pipelines."""
    wanted = None if paths is None else list(paths)
    params = {"source_id": source_id, "pipelines": list(current), "again": list(AGAIN), "paths": wanted}
    return execute(connection, load(PACKAGE, "known"), params)


def rename(connection: Connection, source: Source, renames: Sequence[Rename]) -> None:
    _lock(connection, source, [one.old for one in renames])
    entries = [one.entry for one in renames]
    columns = (
        [one.old for one in renames],
        [entry.path for entry in entries],
        [entry.size for entry in entries],
        [entry.mtime_ns for entry in entries],
        [entry.inode for entry in entries],
        [one.settled for one in renames],
        source.source_id,
    )
    execute(connection, load(PACKAGE, "items_rename"), columns)


def start(connection: Connection, source: Source, group_id: int, entries: Sequence[Entry]) -> Started:
    """Start a run for each of *entries* that still needs one.

    Sent again after a lost reply it finds its items under way and starts nothing.
    """
    paths = [entry.path for entry in entries]
    _lock(connection, source, paths)
    types = [row[0] for row in execute(connection, load(PACKAGE, "media_types_of"), (source.source_id, paths))]
    current = pipelines(types, source.collection.parameters)  # the plan's may know less by now
    known = {row[0]: row[1:] for row in known_rows(connection, source.source_id, current, paths)}
    wanted = [entry for entry in entries if not _is_settled(known.get(entry.path), entry)]
    params = {
        "source_id": source.source_id,
        "paths": [entry.path for entry in wanted],
        "sizes": [entry.size for entry in wanted],
        "mtimes": [entry.mtime_ns for entry in wanted],
        "inodes": [entry.inode for entry in wanted],
    }
    item_ids = [row[0] for row in execute(connection, load(PACKAGE, "items_put"), params)] if wanted else []
    mark = source.collection.parameters.mark
    first = groups.add(connection, group_id, [{"item": item_id, "of": mark} for item_id in item_ids])
    if first is not None:
        execute(connection, load(PACKAGE, "items_assign"), (first, item_ids))
    return Started(len(item_ids), len(wanted) - len(item_ids))


def _is_settled(row: tuple[Any, ...] | None, entry: Entry) -> bool:
    return row is not None and bool(row[3]) and row[:3] == (entry.size, entry.mtime_ns, entry.inode)


def delete(connection: Connection, source: Source, paths: Sequence[str]) -> None:
    """Delete exactly these items, and of the store what no other item has."""
    _lock(connection, source, paths)
    rows = execute(connection, load(PACKAGE, "items_delete"), (source.source_id, list(paths)))
    gone = [document_id for (document_id,) in rows if document_id is not None]
    pg.remove_unused(connection, source.collection.collection_id, gone)


def recheck(session: Session, source: Source, entries: Sequence[Entry], current: Sequence[bytes]) -> set[str]:
    """Read files again of which the stat does not tell whether they changed; the paths of those that did not.

    They are settled at the stat of this reading, and need no run.
    """
    params = (source.source_id, [entry.path for entry in entries], list(current))
    stored = {path: bytes(sha256) for path, sha256 in session.fetch(load(PACKAGE, "items_digests"), params)}
    same = []
    for entry in entries:
        if entry.path not in stored:
            continue
        looked_ns = time.time_ns()
        try:
            data, stat = open_item(source.root, entry.path, max_bytes=source.options.max_bytes)
        except (Vanished, StepError):
            continue  # its run will say what is wrong with it
        if hashlib.sha256(data).digest() == stored[entry.path]:
            same.append((entry.path, *stat, not is_racy(stat.mtime_ns, looked_ns)))
    if same:
        columns = [list(column) for column in zip(*same, strict=True)]

        def settle(connection: Connection) -> None:
            _lock(connection, source, columns[0])
            execute(connection, load(PACKAGE, "items_same"), (*columns, source.source_id))

        session.run(settle)
    return {row[0] for row in same}


def put_oddities(session: Session, source: Source, oddities: Sequence[Oddity]) -> None:
    """What this scan will not read, in the place of what the last one would not."""
    known = set(session.fetch(load(PACKAGE, "oddities"), (source.source_id,)))
    wanted = {(one.path, one.verdict, one.reason, one.detail, one.remedy) for one in oddities}
    if known == wanted:
        return

    def replace(connection: Connection) -> None:
        _lock(connection, source, ())
        execute(connection, load(PACKAGE, "oddities_clear"), (source.source_id,))
        for page in pages(sorted(wanted)):
            columns = [list(column) for column in zip(*page, strict=True)]
            execute(connection, load(PACKAGE, "oddities_put"), (source.source_id, *columns))

    session.run(replace)


def _lock(connection: Connection, source: Source, paths: Sequence[str]) -> None:
    execute(connection, load(PACKAGE, "source_lock"), (source.source_id,))
    if paths:
        execute(connection, load(PACKAGE, "items_lock"), (source.source_id, list(paths)))
