"""The proof: what was seen is accounted for, counted again from the store itself.

For every source: seen = stored + unchanged + skipped(reason) + failed + pending. `seen` is what the last scan met; the
right side is counted from the items and from the rows of the store, never from a counter that a worker kept. The
kernel's invariants and the store's are checked with it. A proof is green when all of it holds and nothing is pending.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents.rows import PACKAGE
from leasehold.documents.sync import find_collection
from leasehold.kernel import checks


@dataclass(slots=True)
class SourceProof:
    """One source's account. `skipped` and `failed` are counts by reason."""

    uri: str
    collection: str
    seen: int
    stored: int = 0
    unchanged: int = 0
    pending: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    scanned: bool = True

    @property
    def accounted(self) -> int:
        return self.stored + self.unchanged + self.pending + sum(self.skipped.values()) + sum(self.failed.values())

    @property
    def holds(self) -> bool:
        return self.scanned and self.seen == self.accounted and not self.pending


@dataclass(slots=True)
class Proof:
    sources: list[SourceProof]
    documents: int
    chunks: int
    defects: list[tuple[str, str | None, str]]
    """(rule, path or None, what was found)"""
    refused: dict[str, int]
    """Late writes that were refused, by verb: not a defect, the guard at work."""

    @property
    def holds(self) -> bool:
        return not self.defects and all(one.holds for one in self.sources)


def prove(session: Session, collection: str | None = None) -> Proof:
    """Account for every source of *collection* (None: of all), and check the store and the kernel.

    All of it is read from one snapshot, so a proof taken beside a running ingest is true of one moment.

    Raises:
        NotFound: there is no such collection.
    """
    return session.run(lambda connection: _prove(session, connection, collection))


def _prove(session: Session, connection: Connection, collection: str | None) -> Proof:
    execute(connection, load(PACKAGE, "one_snapshot"))
    found = [find_collection(session, collection).collection_id] if collection is not None else None
    sources: dict[int, SourceProof] = {}
    rows = execute(connection, load(PACKAGE, "sources"), {"collection": collection})
    for source_id, uri, _root, name, seen, applied, _at in rows:
        sources[source_id] = SourceProof(uri, name, seen or 0, scanned=bool(applied))
    for source_id, state, reason, n in execute(connection, load(PACKAGE, "verdicts"), {"sources": list(sources)}):
        _account(sources[source_id], state, reason, n)
    fresh = dict(execute(connection, load(PACKAGE, "last_sync_items"), (list(sources),)))
    for source_id, source in sources.items():
        source.unchanged, source.stored = source.stored - fresh.get(source_id, 0), fresh.get(source_id, 0)
    collections = found or [row[0] for row in execute(connection, load(PACKAGE, "collection_ids"))]
    documents, chunks = execute(connection, load(PACKAGE, "proof_totals"), {"collections": collections})[0]
    defects: list[tuple[str, str | None, str]] = [
        (rule, path, what)
        for rule, path, what in execute(connection, load(PACKAGE, "proof_store"), {"collections": collections})
    ]
    defects += [(rule, None, what) for rule, what in checks.violations(session)]
    return Proof(list(sources.values()), documents, chunks, defects, checks.refusals(session))


def _account(source: SourceProof, state: str, reason: str | None, n: int) -> None:
    if state == "stored":
        source.stored += n
    elif state == "skipped":
        source.skipped[reason or ""] = source.skipped.get(reason or "", 0) + n
    elif state == "failed":
        source.failed[reason or ""] = source.failed.get(reason or "", 0) + n
    else:
        source.pending += n


def digest(session: Session, collection: str) -> str:
    """SHA-256 of the whole collection in canonical order: paths, content, chunks, lines, vectors; no ids, no times.

    Two ingests of the same files under the same parameters have the same digest, however they were interrupted.
    """
    collection_id = find_collection(session, collection).collection_id

    def read(connection: Connection) -> str:
        state = hashlib.sha256()
        execute(connection, load(PACKAGE, "one_snapshot"))
        for path, sha256, media_type, _ in execute(connection, load(PACKAGE, "digest_documents"), (collection_id,)):
            _feed(state, path, bytes(sha256), media_type)
        with connection.cursor("leasehold_digest") as cursor:
            cursor.execute(load(PACKAGE, "digest_chunks"), (collection_id,))
            for row in cursor:
                _feed(state, *row)
        return state.hexdigest()

    return session.run(read)


def _feed(state: Any, *parts: object) -> None:
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
