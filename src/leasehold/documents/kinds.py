"""The kinds of the document workflow, as page functions: each wires one plain step to items, recipes and the store.

validate  open the file, digest it, decide by content whether there is a reader       (`validation`)
parse     read it into blocks with provenance       } each under its recipe: a result
chunk     cut the blocks into searchable pieces     } that exists is used             (`recipe_steps`)
embed     a vector for each chunk                   }
store     chunks and vectors into the collection, and the item moved to its new document, in the finish (`storing`)

Not here: what a reader or a chunker does (`steps`), the SQL of the store (`stores`), who runs a page (`worker`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from leasehold.artifacts.keeping import Artifacts
from leasehold.db.session import Connection, execute
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.documents.models import Models
from leasehold.documents.readings import Readings
from leasehold.documents.recipe_steps import chunk_page, embed_page, parse_page, write_computed
from leasehold.documents.skips import CHANGED, NO_READER, NO_TEXT, SUPERSEDED
from leasehold.documents.storing import store_page, write_stored
from leasehold.documents.validation import validate_page, write_read
from leasehold.kernel import groups
from leasehold.kernel.groups import WorkflowStep
from leasehold.options import ArtifactOptions, DoclingOptions, EmbedOptions, ReaderOptions
from leasehold.types import Outcome, StepLease

__all__ = ["CHANGED", "NO_READER", "NO_TEXT", "SUPERSEDED", "WORKFLOW", "page_kinds", "workflow"]

WORKFLOW = ("validate", "parse", "chunk", "embed", "store")
EMBED_BREAKER_AFTER = 10
"""A model that is down fails every document alike: after so many errors in a row embedding is held back and probed, and
the documents wait instead of failing."""


def workflow() -> list[WorkflowStep]:
    """The steps of the document workflow, as the kernel takes them."""
    return [
        replace(step, breaker_after=EMBED_BREAKER_AFTER) if step.kind == "embed" else step
        for step in groups.chain(*WORKFLOW)
    ]


def page_kinds(target: Target, options: dict[str, Any]) -> list[Any]:
    """(name, page function, effects, page_max, timeout_s) of each kind; `worker` makes its kinds of them."""
    models = Models(EmbedOptions(**options.get("embed", {})))
    artifacts = Artifacts(target, ArtifactOptions(**options.get("artifacts", {})))
    timeout_s = float(options.get("step_timeout_s", 120.0))
    docling: dict[str, Any] = dict(options.get("docling", {}))
    docling |= {name: tuple(docling[name]) for name in ("urls", "types") if name in docling}  # JSON knows lists
    readings = Readings(
        ReaderOptions(**options.get("readers", {})), DoclingOptions(**docling), step_timeout_s=timeout_s
    )
    pgvector: list[bool] = []

    def stores(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
        if not pgvector:
            pgvector.append(bool(execute(connection, load("leasehold.stores", "has_pgvector"))[0][0]))
        write_stored(connection, ended, pgvector=pgvector[0])

    return [
        ("validate", partial(validate_page, readings=readings), write_read, 128, timeout_s),
        ("parse", partial(parse_page, artifacts=artifacts, readings=readings), write_computed, 64, timeout_s),
        ("chunk", partial(chunk_page, artifacts=artifacts), write_computed, 64, timeout_s),
        ("embed", partial(embed_page, artifacts=artifacts, embedder_of=models.of), write_computed, 64, timeout_s),
        ("store", partial(store_page, artifacts=artifacts), stores, 64, timeout_s),
    ]
