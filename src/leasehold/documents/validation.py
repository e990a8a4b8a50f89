"""Validate: open the file, digest it, and decide by its content whether there is a reader for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from leasehold.db.session import Connection, execute
from leasehold.db.statements import load
from leasehold.documents.readings import Readings
from leasehold.documents.recipes import pipeline
from leasehold.documents.rows import PACKAGE, ItemRow, page_items, upsert_documents
from leasehold.documents.skips import NO_READER, NOT_INSTALLED, SUPERSEDED, Unread, hold_items, write_skipped
from leasehold.sources.folder import EMPTY, Stat, Vanished
from leasehold.sources.plan import is_racy
from leasehold.steps import readers
from leasehold.types import Done, Outcome, Skip, StepError, StepLease

OUTCOME_BYTES = 500
"""What an outcome without a result weighs, about."""


@dataclass(frozen=True, slots=True)
class FileRead:
    """What validation found: enough to know the document, not its bytes."""

    item: ItemRow
    sha256: bytes
    media_type: str
    stat: Stat
    racy: bool


def validate_page(context: Any, leases: Sequence[StepLease], readings: Readings) -> Iterator[tuple[int, Outcome, int]]:
    items = page_items(context.session, [lease.run_id for lease in leases])
    for index, lease in enumerate(leases):
        context.begin(lease)
        item = items.get(lease.run_id)
        yield index, _validate(item, readings) if item is not None else Skip(SUPERSEDED), OUTCOME_BYTES


def _validate(item: ItemRow, readings: Readings) -> Outcome:
    started_ns = time.time_ns()
    try:
        found = readings.look(item)
    except Vanished as vanished:
        return Unread(vanished.reason, vanished.detail, item, settled=False)
    except StepError as error:
        return error
    racy = is_racy(found.stat.mtime_ns, started_ns)
    media_type = found.media_type
    if not media_type:
        return Unread(EMPTY, item=item, settled=not racy)
    if item.parameters.by_docling(media_type) or readers.readable(media_type):
        return Done(FileRead(item, found.sha256, media_type, found.stat, racy))
    if what := readers.missing(media_type):
        detail = f"{media_type} -> {readers.to_install(what)}"
        return Unread(NOT_INSTALLED, detail, item, media_type, settled=not racy)
    return Unread(NO_READER, media_type, item, media_type, settled=not racy)


def write_read(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
    """Effects of validate: documents, and what each item's file was when it was read."""
    found: list[FileRead] = [outcome.result for _, outcome in ended if isinstance(outcome, Done)]
    if found:
        ids = upsert_documents(connection, [(one.sha256, one.media_type, one.stat.size) for one in found])
        held = hold_items(connection, [one.item for one in found])
        found = [one for one in found if one.item.item_id in held]
        columns = (
            [one.item.item_id for one in found],
            [one.stat.size for one in found],
            [one.stat.mtime_ns for one in found],
            [one.stat.inode for one in found],
            [not one.racy for one in found],
            [one.media_type for one in found],
            [ids[one.sha256, one.media_type] for one in found],
            [pipeline(one.media_type, one.item.parameters) for one in found],
        )
        execute(connection, load(PACKAGE, "items_read"), columns)
    write_skipped(connection, ended)
