"""Sync: compare a source with what is known of it, and turn the difference into renames, deletions and runs.

Plan first (pure: known rows and a listing give changes), then apply in pages (`applying`). Applying checks again what
it finds, so two syncs of one source at once, or one that was killed and started again, end in the same rows. The
bookmark (`applied_at`) is set when everything has been applied, never before.

Not here: reading documents (their runs do that), waiting for the runs (`worker.ingest`), whose turn it is (`turns`).
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents import applying
from leasehold.documents.recipes import Parameters, pipelines
from leasehold.documents.rows import PACKAGE
from leasehold.documents.skips import CHANGED, INPUT_GONE
from leasehold.errors import NotFound, PageTooLarge, QueueFull
from leasehold.kernel import groups
from leasehold.options import SourceOptions
from leasehold.sources.folder import VANISHED, ScanCounts, scan
from leasehold.sources.paths import canonical_root, decode_path, encode_path, source_uri
from leasehold.sources.plan import Entry, Oddity, Plan, check_gone, check_mass_delete, decide

PATH_BYTES_MAX = 2000
"""Bytes of an item path. An index entry of PostgreSQL holds 2,700, and encoded names may grow threefold."""
STOP_EVERY = 2048
"""Files listed between two looks whether to stop."""


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

    @property
    def name(self) -> str:
        """Its name for the kernel: what a pause and the fair shares go by. One folder in two collections is two."""
        return f"{self.collection.name}:{self.uri}"


class Stopped(Exception):
    """The listing was cut short because the caller is stopping; nothing was concluded from it."""


@dataclass(slots=True)
class Planned:
    """A source's plan with what it took: `rechecked` files had to be read to know that they did not change.

    `started`, `busy` and `applied` are filled in as it is applied: runs that were started, items that an older run
    still has at another stat (the next scan looks at them again), and whether everything was applied.
    """

    source: Source
    plan: Plan
    counts: ScanCounts
    known: int
    look_again: set[str] = field(default_factory=set)
    rechecked: int = 0
    pipelines: list[bytes] = field(default_factory=list)
    started: int = 0
    busy: int = 0
    applied: bool = False

    @property
    def to_run(self) -> list[Entry]:
        moved = [rename.entry for rename in self.plan.renamed if not rename.settled]
        return self.plan.new + self.plan.changed + self.plan.retry + moved

    @property
    def seen(self) -> int:
        """Everything that must end in a verdict: files and oddities the scan met, and what is known to lie where it
        could learn nothing."""
        return self.plan.files + len(self.plan.oddities) + self.plan.sheltered


# -- collections and sources ------------------------------------------------------------------------------------------


def find_collection(session: Session, name: str) -> Collection:
    """The collection *name*. Raises NotFound."""
    rows = session.fetch(load(PACKAGE, "collection_find"), (name,))
    if not rows:
        raise NotFound(f"There is no collection '{name}'.", remedy="Run `leasehold ingest PATH` first.", name=name)
    return Collection(rows[0][0], rows[0][1], Parameters.from_json(json.loads(rows[0][2])))


def open_collection(session: Session, name: str, parameters: Parameters) -> Collection:
    """The collection *name* with these parameters; made if there is none, changed if they differ.

    Runs that were started under other parameters end as superseded; the next scan starts their items anew.
    """
    body = json.dumps(parameters.as_json(), sort_keys=True)
    session.fetch(load(PACKAGE, "collection_open"), (name, parameters.embedder, parameters.dimensions, body))
    found = find_collection(session, name)
    if found.parameters == parameters and found.parameters.place == parameters.place:
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
    key = (collection.collection_id, uri)
    found = session.fetch(load(PACKAGE, "source_find"), key)
    if not found:
        session.fetch(load(PACKAGE, "source_open"), (*key, encoded, json.dumps(asdict(options))))
        found = session.fetch(load(PACKAGE, "source_find"), key)
    return Source(found[0][0], collection, root, uri, options)


def unregistered(session: Session, collection: Collection | None, path: Path, options: SourceOptions,
                 parameters: Parameters) -> Source:  # fmt: skip
    """The source as it is or would be, writing nothing; `source_id` is 0 when it is not known yet."""
    root = canonical_root(path)
    uri = source_uri(root)
    found = session.fetch(load(PACKAGE, "source_find"), (collection.collection_id, uri)) if collection else []
    name = collection.name if collection else ""
    wanted = Collection(collection.collection_id if collection else 0, name, parameters)
    return Source(found[0][0] if found else 0, wanted, root, uri, options)


# -- plan -------------------------------------------------------------------------------------------------------------


def plan(session: Session, source: Source, *, stopping: Callable[[], bool] | None = None) -> Planned:
    """What a sync of *source* would do. Reads the folder and the database, writes nothing.

    Raises:
        Stopped: *stopping* said so in the middle of the listing.
    """
    types = [row[0] for row in session.fetch(load(PACKAGE, "media_types"), (source.source_id,))]
    current = pipelines(sorted({*types, ""}), source.collection.parameters)
    known: dict[str, tuple[int, int, int, bool]] = {}
    look_again = set()
    rows = session.run(lambda connection: applying.known_rows(connection, source.source_id, current))
    for path, size, mtime_ns, inode, settled, doubtful in rows:
        known[path] = (size, mtime_ns, inode, settled)
        if doubtful:
            look_again.add(path)
    del rows
    counts = ScanCounts()
    decided = decide(known, _listing(scan(source.root, source.options, counts), stopping))
    return Planned(source, decided, counts, len(known), look_again, pipelines=current)


def _listing(found: Iterator[Entry | Oddity], stopping: Callable[[], bool] | None) -> Iterator[Entry | Oddity]:
    """The listing, cut short when it has to be; what no row can hold is an oddity."""
    for number, one in enumerate(found):
        if stopping is not None and number % STOP_EVERY == 0 and stopping():
            raise Stopped
        if len(one.path) * 4 > PATH_BYTES_MAX and len(one.path.encode()) > PATH_BYTES_MAX:
            name = encode_path(os.fsencode(decode_path(one.path))[:200]) + "…"
            detail = f"{len(one.path.encode())} bytes; the limit is {PATH_BYTES_MAX}"
            yield Oddity(f"{name}{hash_of(one.path)}", "failed", "path too long", detail, "Shorten the path.")
        else:
            yield one


def hash_of(path: str) -> str:
    """Eight characters that tell one long path from another."""
    from hashlib import sha256

    return sha256(path.encode()).hexdigest()[:8]


def check(planned: Planned, *, allow_mass_delete: bool = False) -> None:
    """Refuse a plan that would lose most of its source.

    Raises:
        MassDelete: most of the source would be deleted, or all of it is gone; nothing was applied.
    """
    if not allow_mass_delete:
        check_gone(planned.plan, planned.known)
        check_mass_delete(planned.plan, planned.known, planned.source.options)


# -- apply ------------------------------------------------------------------------------------------------------------


def apply(
    session: Session,
    planned: Planned,
    workflow_id: int,
    on_page: Callable[[int], None] | None = None,
    *,
    allow_mass_delete: bool = False,
    stopping: Callable[[], bool] | None = None,
    when_full: Callable[[], bool] | None = None,
    weight: int = 1,
    priority: int = 0,
) -> int | None:
    """Apply a plan in pages; the group of the runs it started, None when nothing has to run.

    *when_full* is asked when a bound lets no more runs in: True to try again, False to be cut short there; without it
    that is raised. *weight* and *priority* are the group's turns among others (`kernel.groups.open_group`).

    Cut short by *stopping* it leaves its group unsealed and its bookmark unset (`planned.applied` is False); the next
    sync takes the remainder.

    Raises:
        MassDelete: most of the source would be deleted; nothing was applied or written.
        QueueFull: a bound lets no more runs in, and there is no *when_full*.
    """
    check(planned, allow_mass_delete=allow_mass_delete)
    source, decided = planned.source, planned.plan
    sync_id = session.run(lambda connection: _begin(connection, planned))
    for renames in applying.pages(decided.renamed):
        session.run(lambda connection, renames=renames: applying.rename(connection, source, renames))  # type: ignore[misc]
    _recheck(session, planned)
    applying.put_oddities(session, source, decided.oddities)
    group_id = None
    if to_run := planned.to_run:
        group_id = _open_group(session, planned, sync_id, workflow_id, weight, priority)
        waiting = deque(applying.pages(to_run))
        while waiting:
            if stopping is not None and stopping():
                return group_id
            entries = waiting.popleft()
            try:
                started = _start(session, source, group_id, entries, when_full)
            except PageTooLarge:  # a bound that takes fewer at once; it takes one, so this ends
                half = len(entries) // 2
                waiting.extendleft([entries[half:], entries[:half]])
                continue
            if started is None:
                return group_id
            planned.started += started.runs
            planned.busy += started.busy
            groups.wake(session)
            if on_page is not None:
                on_page(group_id)
        groups.seal(session, group_id)
    for paths in applying.pages(decided.deleted):
        session.run(lambda connection, paths=paths: applying.delete(connection, source, paths))  # type: ignore[misc]
    session.fetch(load(PACKAGE, "sync_applied"), (len(decided.changed), decided.unchanged, sync_id))
    planned.applied = True
    return group_id


def _start(
    session: Session, source: Source, group_id: int, entries: Sequence[Entry], when_full: Callable[[], bool] | None
) -> applying.Started | None:
    """Start runs for a page of entries, as soon as they fit; None when it is not to be waited for."""
    while True:
        try:
            return session.run(lambda connection: applying.start(connection, source, group_id, entries))
        except QueueFull:
            if when_full is None:
                raise
            if not when_full():
                return None


def _begin(connection: Connection, planned: Planned) -> int:
    decided, source = planned.plan, planned.source
    body, encoded = json.dumps(asdict(source.options)), encode_path(os.fsencode(source.root))
    execute(connection, load(PACKAGE, "source_set"), (body, encoded, source.source_id, body, encoded))
    excluded = planned.counts.excluded_files + planned.counts.excluded_directories
    row = (source.source_id, planned.seen, excluded, len(decided.new), len(decided.changed), len(decided.renamed),
           len(decided.deleted), decided.unchanged)  # fmt: skip
    return int(execute(connection, load(PACKAGE, "sync_begin"), row)[0][0])


def _open_group(session: Session, planned: Planned, sync_id: int, workflow_id: int, weight: int, priority: int) -> int:
    """Open the scan's group. Its key names the scan, so that one which nobody came to use is found by the next."""
    key, source = f"leasehold sync {sync_id}", planned.source
    group_id, _ = groups.open_group(
        session, workflow_id, label=source.uri, idempotency_key=key, source=source.name, weight=weight,
        priority=priority,
    )  # fmt: skip
    session.fetch(load(PACKAGE, "sync_group"), (group_id, sync_id))
    return group_id


def _recheck(session: Session, planned: Planned) -> None:
    """What turns out to be the same needs no run; it leaves the plan's list."""
    doubtful = [entry for entry in planned.plan.retry if entry.path in planned.look_again]
    doubtful += [one.entry for one in planned.plan.renamed if not one.settled]
    same: set[str] = set()
    for entries in applying.pages(doubtful):
        same |= applying.recheck(session, planned.source, entries, planned.pipelines)
    planned.rechecked = len(same)
    left = [entry for entry in planned.plan.retry if entry.path not in same]
    planned.plan.unchanged += len(planned.plan.retry) - len(left)
    planned.plan.retry = left
    planned.plan.renamed = [
        one._replace(settled=True) if one.entry.path in same else one for one in planned.plan.renamed
    ]


# -- afterwards -------------------------------------------------------------------------------------------------------


def open_groups(session: Session, sources: Sequence[Source]) -> list[int]:
    """Groups of these sources that are not complete, also those that another ingest started, or one that died."""
    return [row[0] for row in session.fetch(load(PACKAGE, "open_groups"), ([one.source_id for one in sources],))]


def seal_abandoned(session: Session, source: Source) -> list[int]:
    """Seal the groups to which nobody adds any more; they. Only for who has the source's turn: nobody else can know."""
    found = [row[0] for row in session.fetch(load(PACKAGE, "unsealed_groups"), (source.source_id,))]
    for group_id in found:
        groups.seal(session, group_id)
    return found


def worth_another_look(session: Session, source: Source) -> bool:
    """Whether a scan right now would find more to do: files that changed while they were read, that were away for a
    moment, or whose run was called off."""
    for path, why in session.fetch(load(PACKAGE, "unsettled"), (source.source_id, [CHANGED, VANISHED, INPUT_GONE])):
        if why != VANISHED or _is_there(source, path):
            return True
    return False


def _is_there(source: Source, path: str) -> bool:
    root = os.fsencode(source.root)
    return os.path.lexists(root if source.root.is_file() else os.path.join(root, decode_path(path)))
