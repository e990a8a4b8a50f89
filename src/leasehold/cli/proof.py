"""`leasehold proof`: everything that was seen is accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import by_reason, counted, emit, say

DEFECTS_SHOWN = 20
FAILURES_SHOWN = 10
FAILURES_MAX = 1000


@click.command()
@click.option("--in", "collection", metavar="COLLECTION", help="One collection only [all].")
@click.option("--digest", "with_digest", is_flag=True, help="Also the digest of each collection's whole content.")
@common.common
def proof(collection: str | None, with_digest: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """Account for everything the last scans saw, counted again from the store itself.

    Exit code 0 when the account holds, 1 when it does not.
    """
    from leasehold.documents import proof as proving
    from leasehold.documents import reports

    chosen = common.settings(database, home)
    with common.open_session(chosen) as session:
        found = proving.prove(session, collection)
        names = sorted({one.collection for one in found.sources} | ({collection} if collection else set()))
        digests = {name: proving.digest(session, name) for name in names} if with_digest else {}
        sources = [one.source_id for one in reports.source_states(session, collection)]
        failures = reports.troubles(session, states=["failed"], sources=sources, limit=FAILURES_MAX)
    if as_json:
        emit("complete" if found.holds else "failed", **as_dict(found), digests=digests,
             failures=[one.as_dict() for one in failures])  # fmt: skip
    else:
        for line in lines(found, digests, failures):
            say(line)
    return 0 if found.holds else 1


def lines(found: Any, digests: dict[str, str], failures: Sequence[Any] = ()) -> list[str]:
    said = []
    for one in found.sources:
        pending = f" + pending {one.pending:,}" if one.pending else ""
        mark = "=" if one.seen == one.accounted else "≠"
        said.append(f"{one.collection}: {one.uri}")
        skipped, failed = sum(one.skipped.values()), sum(one.failed.values())
        said.append(f"  seen {one.seen:,} {mark} stored {one.stored:,} + unchanged {one.unchanged:,} "
                    f"+ skipped {skipped:,} + failed {failed:,}{pending}")  # fmt: skip
        if not one.scanned:
            said.append("  its last scan was not applied to its end: run ingest again")
        if one.skipped:
            said.append(f"  skipped: {by_reason(one.skipped)}")
        if one.failed:
            said.append(f"  failed: {by_reason(one.failed)}")
    said += [f"failed: {one.path}: {one.reason}{f' -> {one.remedy}' if one.remedy else ''}"
             for one in failures[:FAILURES_SHOWN]]  # fmt: skip
    if (left := sum(sum(one.failed.values()) for one in found.sources) - FAILURES_SHOWN) > 0:
        said.append(f"… and {left:,} more: leasehold status --failed")
    said.append(f"{counted(found.documents, 'document')} and {counted(found.chunks, 'chunk')} counted in the store")
    if found.refused:
        late = ", ".join(f"{n:,} by {verb}" for verb, n in sorted(found.refused.items()))
        said.append(f"late writes refused: {late}")
    for name, value in digests.items():
        said.append(f"digest of {name}: {value}")
    for rule, path, what in found.defects[:DEFECTS_SHOWN]:
        said.append(f"DEFECT: {rule}: {path or ''} {what}")
    if len(found.defects) > DEFECTS_SHOWN:
        said.append(f"… and {len(found.defects) - DEFECTS_SHOWN:,} more defects")
    verdict = "the proof holds" if found.sources else "nothing has been ingested: there is nothing to prove"
    said.append(verdict if found.holds else "THE PROOF DOES NOT HOLD")
    return said


def as_dict(found: Any) -> dict[str, Any]:
    return {
        "holds": found.holds,
        "documents": found.documents,
        "chunks": found.chunks,
        "refused_late_writes": found.refused,
        "defects": [{"rule": rule, "path": path, "found": what} for rule, path, what in found.defects],
        "sources": [
            {
                "source": one.uri, "collection": one.collection, "holds": one.holds, "seen": one.seen,
                "stored": one.stored, "unchanged": one.unchanged, "pending": one.pending, "skipped": one.skipped,
                "failed": one.failed,
            }
            for one in found.sources
        ],
    }  # fmt: skip
