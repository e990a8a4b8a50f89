"""What the document steps read and write of items, as plain functions over statements."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.documents.recipes import Parameters, Recipes, recipes
from leasehold.sources.paths import decode_path

PACKAGE = "leasehold.documents"


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as the steps of its run see it. `document_id` is what it has stored now, `pending_id` what it will."""

    run_id: int
    item_id: int
    path: str
    root: Path
    collection_id: int
    pending_id: int | None
    sha256: bytes | None
    media_type: str | None
    document_id: int | None
    max_bytes: int
    parameters: Parameters

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def recipes(self) -> Recipes:
        assert self.sha256 is not None
        assert self.media_type is not None
        return recipes(self.sha256, self.media_type, self.parameters)


@lru_cache(maxsize=64)
def _parameters(body: str) -> Parameters:
    return Parameters.from_json(json.loads(body))


@lru_cache(maxsize=64)
def _root(encoded: str) -> Path:
    return Path(os.fsdecode(decode_path(encoded)))


def page_items(session: Session, run_ids: Sequence[int]) -> dict[int, ItemRow]:
    """The items of these runs, by run.

    Missing is a run that is superseded: its item was deleted or taken by a newer run, or its collection has other
    parameters than when it was started, and what it would make would be thrown away.
    """
    found = {}
    for row in session.fetch(load(PACKAGE, "page_items"), (list(run_ids),)):
        *columns, body, of = row
        run_id, item_id, path, root, collection_id, pending_id, sha256, media_type, document_id, max_bytes = columns
        parameters = _parameters(body)
        if of is not None and of != parameters.mark:
            continue
        found[run_id] = ItemRow(
            run_id, item_id, path, _root(root), collection_id, pending_id, sha256, media_type, document_id, max_bytes,
            parameters,
        )  # fmt: skip
    return found


def upsert_documents(connection: Connection, wanted: Sequence[tuple[bytes, str, int]]) -> dict[tuple[bytes, str], int]:
    """Document ids of (sha256, media_type, size)."""
    keys = ([one[0] for one in wanted], [one[1] for one in wanted])
    execute(connection, load(PACKAGE, "upsert_documents"), (*keys, [one[2] for one in wanted]))
    rows = execute(connection, load(PACKAGE, "find_documents"), keys)
    return {(bytes(sha256), media_type): document_id for sha256, media_type, document_id in rows}
