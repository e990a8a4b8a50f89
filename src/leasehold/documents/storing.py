"""Store: chunks and vectors into the collection, and the item moved to its new document, in the finish itself.

The order is the promise: the new chunks are in before the old ones go, both in one transaction, and only for items that
their run still has. So a deleted item leaves nothing behind, and a failed run takes nothing away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from leasehold.artifacts import coding
from leasehold.artifacts.keeping import Artifacts
from leasehold.db.session import Connection, execute
from leasehold.db.statements import load
from leasehold.documents.inputs import InputGone, Inputs
from leasehold.documents.recipes import pipeline
from leasehold.documents.rows import PACKAGE, ItemRow, page_items
from leasehold.documents.skips import SUPERSEDED, by_collection, hold_items, input_gone, write_skipped
from leasehold.documents.waiting import waits
from leasehold.errors import ArtifactStoreAway
from leasehold.stores import pg
from leasehold.types import Done, Outcome, Skip, StepError, StepLease

OUTCOME_BYTES = 500


@dataclass(frozen=True, slots=True)
class Ready:
    """A document ready to be stored."""

    item: ItemRow
    stored: pg.Stored


def store_page(context: Any, leases: Sequence[StepLease], artifacts: Artifacts) -> Iterator[tuple[int, Outcome, int]]:
    items = page_items(context.session, [lease.run_id for lease in leases])
    with_document = {run_id: item for run_id, item in items.items() if item.sha256 is not None}
    order: list[bytes] = []
    for lease in leases:
        if lease.run_id in with_document:
            named = with_document[lease.run_id].recipes()
            order += [named.chunk, named.embed]
    inputs = Inputs(context.session, artifacts, order)
    for index, lease in enumerate(leases):
        item = with_document.get(lease.run_id)
        if item is None:
            yield index, Skip(SUPERSEDED), OUTCOME_BYTES
            continue
        context.begin(lease)
        try:
            stored = _stored(item, inputs)
        except StepError as error:
            yield index, error, OUTCOME_BYTES
        except InputGone:
            yield index, input_gone(item), OUTCOME_BYTES
        except ArtifactStoreAway as error:
            yield index, waits(error), OUTCOME_BYTES
        else:
            weight = sum(len(one.text) for one in stored.chunks) + len(stored.vectors)
            yield index, Done(Ready(item, stored)), weight
            del stored


def _stored(item: ItemRow, inputs: Inputs) -> pg.Stored:
    assert item.pending_id is not None
    named = item.recipes()
    title, chunks, notes = coding.chunks_from_bytes(inputs.take(named.chunk))
    vectors = inputs.take(named.embed)
    if len(vectors) != len(chunks) * item.parameters.dimensions * 4:
        raise StepError("vectors and chunks differ in number", f"{len(vectors)} bytes for {len(chunks)} chunks")
    return pg.Stored(item.collection_id, item.pending_id, named.embed, title, chunks, vectors, notes)


def write_stored(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]], *, pgvector: bool) -> None:
    """Effects of store: chunks in, the items moved to their new documents, what nothing refers to any more out."""
    ready: list[Ready] = [outcome.result for _, outcome in ended if isinstance(outcome, Done)]
    if ready:
        held = hold_items(connection, [one.item for one in ready])
        ready = [one for one in ready if one.item.item_id in held]
        left = by_collection([(one.item.collection_id, held[one.item.item_id]) for one in ready])
        pg.write(connection, [one.stored for one in ready], pgvector=pgvector, leaving=left)
        params = {
            "items": [one.item.item_id for one in ready],
            "documents": [one.stored.document_id for one in ready],
            "pipelines": [pipeline(one.item.media_type or "", one.item.parameters) for one in ready],
        }
        execute(connection, load(PACKAGE, "items_stored"), params)
        for collection_id, document_ids in left.items():
            pg.remove_unused(connection, collection_id, document_ids)
    write_skipped(connection, ended)
