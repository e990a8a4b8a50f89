"""Sync: compare a source with what is known of it, and turn the difference into renames, deletions and runs.

Plan first (pure: known rows and a listing give changes), then apply in pages, each one transaction under the source's
row lock. Applying checks again what it finds, so two syncs of one source at once, or one that was killed and started
again, end in the same rows. The bookmark (`applied_at`) is set when everything has been applied, never before.

Not here: reading documents (their runs do that), waiting for the runs (`worker.ingest`).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents.recipes import Parameters, pipelines
from leasehold.documents.rows import PACKAGE
from leasehold.errors import NotFound
from leasehold.kernel import groups
from leasehold.options import SourceOptions
from leasehold.sources.folder import ScanCounts, Vanished, open_item, scan
from leasehold.sources.paths import canonical_root, encode_path, source_uri
from leasehold.sources.plan import Entry, Oddity, Plan, check_mass_delete, decide, is_racy
from leasehold.stores import pg
from leasehold.types import StepError

T = TypeVar("T")

PAGE = 500


@dataclass(frozen=True, slots=True)
class Collection:
    collection_id: int
    name: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Source:
    source_id: int
    collection: Collection
    root: Path
    uri: str
    options: SourceOptions


@dataclass(slots=True)
class Planned:
    """A source's plan with what it took: `rechecked` files had to be read to know that they did not change."""

    source: Source
    plan: Plan
    counts: ScanCounts
    known: int
    look_again: set[str] = field(default_factory=set)
    rechecked: int = 0

    @property
    def to_run(self) -> list[Entry]:
        moved = [rename.entry for rename in self.plan.renamed if not rename.settled]
        return self.plan.new + self.plan.changed + self.plan.retry + moved

    @property
    def seen(self) -> int:
        """Everything the scan met that must end in a verdict: files and oddities."""
        return self.plan.files + len(self.plan.oddities)


def find_collection(session: Session, name: str) -> Collection:
    """The collection *name*. Raises NotFound."""
    rows = session.fetch(load(PACKAGE, "collection_find"), (name,))
    if not rows:
        raise NotFound(f"There is no collection '{name}'.", remedy="Run `leasehold ingest PATH` first.", name=name)
    return Collection(rows[0][0], rows[0][1], Parameters.from_json(json.loads(rows[0][2])))


def open_collection(session: Session, name: str, parameters: Parameters) -> Collection:
    """The collection *name* with these parameters; made if there is none, changed if they differ."""
    body = json.dumps(parameters.as_json(), sort_keys=True)
    session.fetch(load(PACKAGE, "collection_open"), (name, parameters.embedder, parameters.dimensions, body))
    found = find_collection(session, name)
    if found.parameters == parameters:
        return found
    session.fetch(
        load(PACKAGE, "collection_set"), (body, parameters.embedder, parameters.dimensions, found.collection_id)
    )
    return Collection(found.collection_id, name, parameters)


def open_source(session: Session, collection: Collection, path: Path, options: SourceOptions) -> Source:
    """The folder (or single file) at *path* as a source of *collection*; registered if it is new.

    Raises:
        UsageError: there is nothing at *path*, or it cannot be reached.
    """
    root = canonical_root(path)
    uri = source_uri(root)
    encoded = encode_path(os.fsencode(root))
    body = json.dumps(asdict(options))
    rows = session.fetch(load(PACKAGE, "source_open"), (collection.collection_id, uri, encoded, body))
    return Source(rows[0][0], collection, root, uri, options)


def unregistered(session: Session, collection: Collection | None, path: Path, options: SourceOptions,
                 parameters: Parameters) -> Source:  # fmt: skip
    """The source as it is or would be, writing nothing; `source_id` is 0 when it is not known yet."""
    root = canonical_root(path)
    uri = source_uri(root)
    found = session.fetch(load(PACKAGE, "source_find"), (collection.collection_id, uri)) if collection else []
    name = collection.name if collection else ""
    wanted = Collection(collection.collection_id if collection else 0, name, parameters)
    return Source(found[0][0] if found else 0, wanted, root, uri, options)


def plan(session: Session, source: Source) -> Planned:
    """What a sync of *source* would do. Reads the folder and the database, writes nothing."""
    types = [row[0] for row in session.fetch(load(PACKAGE, "media_types"), (source.source_id,))]
    current = pipelines([*types, ""], source.collection.parameters)
    known: dict[str, tuple[int, int, int, bool]] = {}
    look_again = set()
    params = {"source_id": source.source_id, "pipelines": current}
    for path, size, mtime_ns, inode, settled, doubtful in session.fetch(load(PACKAGE, "known"), params):
        known[path] = (size, mtime_ns, inode, settled)
        if doubtful:
            look_again.add(path)
    counts = ScanCounts()
    decided = decide(known, scan(source.root, source.options, counts))
    return Planned(source, decided, counts, len(known), look_again)


def apply(session: Session, planned: Planned, workflow_id: int, on_page: Callable[[int], None] | None = None) -> int | None:
    """Apply a plan in pages; the group of the runs it started, None when nothing has to run.

    Raises:
        MassDelete: most of the source would be deleted; nothing was applied.
    """
    source, decided = planned.source, planned.plan
    check_mass_delete(decided, planned.known, source.options)
    sync_id = session.fetch(load(PACKAGE, "sync_begin"), _sync_row(planned))[0][0]
    for renames in _pages(decided.renamed):
        session.run(lambda connection, renames=renames: _rename(connection, source, renames))  # type: ignore[misc]
    _recheck(session, planned)
    _put_oddities(session, source, decided.oddities)
    group_id = None
    to_run = planned.to_run
    if to_run:
        group_id, _ = groups.open_group(session, workflow_id, label=source.uri)
        session.fetch(load(PACKAGE, "sync_group"), (group_id, sync_id))
        for entries in _pages(to_run):
            session.run(lambda connection, entries=entries: _start(connection, source, group_id, entries))  # type: ignore[misc]
            groups.wake(session)
            if on_page is not None:
                on_page(group_id)
        groups.seal(session, group_id)
    for paths in _pages(decided.deleted):
        session.run(lambda connection, paths=paths: _delete(connection, source, paths))  # type: ignore[misc]
    session.fetch(load(PACKAGE, "sync_applied"), (sync_id,))
    return group_id


def open_groups(session: Session, sources: Sequence[Source]) -> list[int]:
    """Groups of these sources that are not complete, also those that another ingest started, or one that died."""
    return [row[0] for row in session.fetch(load(PACKAGE, "open_groups"), ([one.source_id for one in sources],))]


def _sync_row(planned: Planned) -> tuple[Any, ...]:
    decided = planned.plan
    excluded = planned.counts.excluded_files + planned.counts.excluded_directories
    return (planned.source.source_id, planned.seen, excluded, len(decided.new), len(decided.changed),
            len(decided.renamed), len(decided.deleted), decided.unchanged)  # fmt: skip


def _lock(connection: Connection, source: Source) -> None:
    execute(connection, load(PACKAGE, "source_lock"), (source.source_id,))


def _rename(connection: Connection, source: Source, renames: Sequence[Any]) -> None:
    _lock(connection, source)
    entries = [rename.entry for rename in renames]
    columns = (
        [rename.old for rename in renames],
        [entry.path for entry in entries],
        [entry.size for entry in entries],
        [entry.mtime_ns for entry in entries],
        [entry.inode for entry in entries],
        [rename.settled for rename in renames],
        source.source_id,
    )
    execute(connection, load(PACKAGE, "items_rename"), columns)


def _start(connection: Connection, source: Source, group_id: int, entries: Sequence[Entry]) -> None:
    _lock(connection, source)
    params = {
        "source_id": source.source_id,
        "paths": [entry.path for entry in entries],
        "sizes": [entry.size for entry in entries],
        "mtimes": [entry.mtime_ns for entry in entries],
        "inodes": [entry.inode for entry in entries],
    }
    item_ids = [row[0] for row in execute(connection, load(PACKAGE, "items_put"), params)]
    first = groups.add(connection, group_id, [{"item": item_id} for item_id in item_ids])
    if first is not None:
        execute(connection, load(PACKAGE, "items_assign"), (first, item_ids))


def _delete(connection: Connection, source: Source, paths: Sequence[str]) -> None:
    _lock(connection, source)
    rows = execute(connection, load(PACKAGE, "items_delete"), (source.source_id, list(paths)))
    gone = [document_id for (document_id,) in rows if document_id is not None]
    pg.remove_unused(connection, source.collection.collection_id, gone)


def _recheck(session: Session, planned: Planned) -> None:
    """Read files again that may have been edited in the tick in which they were read, and settle those that were not.

    What is still the same needs no run; it leaves the plan's list.
    """
    doubtful = [entry for entry in planned.plan.retry if entry.path in planned.look_again]
    doubtful += [one.entry for one in planned.plan.renamed if not one.settled and one.old in planned.look_again]
    same: set[str] = set()
    for entries in _pages(doubtful):
        same |= _recheck_page(session, planned.source, entries)
    planned.rechecked = len(same)
    left = [entry for entry in planned.plan.retry if entry.path not in same]
    planned.plan.unchanged += len(planned.plan.retry) - len(left)
    planned.plan.retry = left
    planned.plan.renamed = [
        one._replace(settled=True) if one.entry.path in same else one for one in planned.plan.renamed
    ]


def _recheck_page(session: Session, source: Source, entries: Sequence[Entry]) -> set[str]:
    stored = dict(session.fetch(load(PACKAGE, "items_digests"), (source.source_id, [entry.path for entry in entries])))
    same = []
    for entry in entries:
        looked_ns = time.time_ns()
        try:
            data, stat = open_item(source.root, entry.path, max_bytes=source.options.max_bytes)
        except (Vanished, StepError):
            continue  # its run will say what is wrong with it
        if hashlib.sha256(data).digest() == stored.get(entry.path):
            same.append((entry.path, *stat, not is_racy(stat.mtime_ns, looked_ns)))
    if same:
        session.fetch(load(PACKAGE, "items_same"), (*map(list, zip(*same, strict=True)), source.source_id))
    return {row[0] for row in same}


def _put_oddities(session: Session, source: Source, oddities: Sequence[Oddity]) -> None:
    known = set(session.fetch(load(PACKAGE, "oddities"), (source.source_id,)))
    wanted = {(one.path, one.verdict, one.reason, one.detail, one.remedy) for one in oddities}
    if known == wanted:
        return

    def replace(connection: Connection) -> None:
        _lock(connection, source)
        execute(connection, load(PACKAGE, "oddities_clear"), (source.source_id,))
        for page in _pages(sorted(wanted)):
            columns = [list(column) for column in zip(*page, strict=True)]
            execute(connection, load(PACKAGE, "oddities_put"), (source.source_id, *columns))

    session.run(replace)


def _pages(things: Sequence[T], size: int = PAGE) -> Iterator[list[T]]:
    walker = iter(things)
    while page := list(islice(walker, size)):
        yield page
