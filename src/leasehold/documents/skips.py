"""Skips that are written to their items, and the rows that effects lock before they write.

Lock order of everything that writes here, so that no two writers wait for each other: source, items by id, the
collection's documents by id. Whoever comes second waits, looks again, and finds what the first one did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leasehold.db.session import Connection, execute
from leasehold.db.statements import load
from leasehold.documents.recipes import pipeline, unread
from leasehold.documents.rows import PACKAGE, ItemRow
from leasehold.stores import pg
from leasehold.types import Outcome, Skip, StepLease

NO_TEXT = "no text found"
CHANGED = "changed while it was read"
INPUT_GONE = "its input is gone"
NO_READER = "no reader for the type"
NOT_INSTALLED = "reader not installed"
SUPERSEDED = "superseded"
"""The item was deleted, has a newer run, or its collection has other parameters by now."""


@dataclass(frozen=True, slots=True)
class Unread(Skip):
    """A skip that is written to its item; `media_type` where the content was looked at.

    Not settled: the next scan has the last word, and what the item had stored stays until then.
    """

    item: ItemRow | None = None
    media_type: str | None = None
    settled: bool = True


def input_gone(item: ItemRow) -> Unread:
    """The result of the step before was removed, lost or damaged: the next look starts the item anew, and makes it."""
    return Unread(INPUT_GONE, "it is made again", item, item.media_type, settled=False)


def hold_items(connection: Connection, items: Sequence[ItemRow]) -> dict[int, int | None]:
    """Lock those of *items* that their runs still have; the document that each has stored now."""
    params = ([one.item_id for one in items], [one.run_id for one in items])
    return dict(execute(connection, load(PACKAGE, "items_hold"), params))


def write_skipped(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
    """Effects of a skip: the item's verdict; what it had stored before goes when nothing else has it."""
    skipped = [(one, one.item) for _, one in ended if isinstance(one, Unread) and one.item is not None]
    if not skipped:
        return
    held = hold_items(connection, [item for _, item in skipped])
    rows = [(one, item) for one, item in skipped if item.item_id in held]
    params = {
        "items": [item.item_id for _, item in rows],
        "reasons": [one.reason for one, _ in rows],
        "details": [one.detail for one, _ in rows],
        "settled": [one.settled for one, _ in rows],
        "types": [one.media_type for one, _ in rows],
        "pipelines": [_pipeline(one, item) for one, item in rows],
    }
    execute(connection, load(PACKAGE, "items_skipped"), params)
    left = [(item.collection_id, held[item.item_id]) for one, item in rows if one.settled]
    for collection_id, document_ids in by_collection(left).items():
        pg.remove_unused(connection, collection_id, document_ids)


def _pipeline(one: Unread, item: ItemRow) -> bytes:
    media_type = one.media_type or item.media_type or ""
    return unread(media_type) if one.reason == NOT_INSTALLED else pipeline(media_type, item.parameters)


def by_collection(pairs: Sequence[tuple[int, int | None]]) -> dict[int, list[int]]:
    """Document ids by collection, both in the order in which they are locked."""
    found: dict[int, set[int]] = {}
    for collection_id, document_id in pairs:
        if document_id is not None:
            found.setdefault(collection_id, set()).add(document_id)
    return {collection_id: sorted(found[collection_id]) for collection_id in sorted(found)}
