"""The kinds of the document workflow, as page functions: each wires one plain step to items, recipes and the store.

validate  open the file, digest it, decide by content whether there is a reader
parse     read it into blocks with provenance       } each under its recipe: a result that exists is used, one that
chunk     cut the blocks into searchable pieces     } somebody computes right now is waited for, else it is claimed
embed     a vector for each chunk                   } and computed, and saved when the step's end is accepted
store     chunks and vectors into the collection, and the item moved to its new document, in the finish itself

Not here: what a reader or a chunker does (`steps`), the SQL of the store (`stores`), who runs a page (`worker`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from leasehold.artifacts import coding, database
from leasehold.artifacts.database import Artifact, artifact
from leasehold.db.session import Connection, execute
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.documents.recipes import pipeline
from leasehold.documents.rows import PACKAGE, ItemRow, page_items, upsert_documents
from leasehold.kernel import claims
from leasehold.sources.folder import Stat, Vanished, open_item
from leasehold.sources.plan import is_racy
from leasehold.steps.chunking import chunk
from leasehold.steps.detection import detect, readable
from leasehold.steps.embedding import HashingEmbedder
from leasehold.steps.reading import read
from leasehold.stores import pg
from leasehold.types import Chunk, Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease

WORKFLOW = ("validate", "parse", "chunk", "embed", "store")
NO_TEXT = "no text found"
CHANGED = "changed while it was read"
NO_READER = "no reader for the type"
SUPERSEDED = "superseded"
WAIT_S = 1.0
"""How long a step waits for a recipe that somebody else computes, if it is not woken sooner."""
READ_BYTES = 8_000_000
"""Input artifacts read at once."""

Yield = tuple[int, Outcome, int]


@dataclass(frozen=True, slots=True)
class FileRead:
    """What validation found: enough to know the document, not its bytes."""

    item: ItemRow
    sha256: bytes
    media_type: str
    stat: Stat
    racy: bool


@dataclass(frozen=True, slots=True)
class Computed:
    """A result under its recipe; `artifact` is None when it existed already."""

    work: str
    recipe: bytes
    artifact: Artifact | None


@dataclass(frozen=True, slots=True)
class Ready:
    """A document ready to be stored."""

    item: ItemRow
    stored: pg.Stored


@dataclass(frozen=True, slots=True)
class Unread(Skip):
    """A skip that is written to its item; `media_type` where the content was looked at."""

    item: ItemRow | None = None
    media_type: str | None = None
    settled: bool = True


def page_kinds(target: Target, options: dict[str, Any]) -> list[Any]:
    """(name, page function, effects, page_max, timeout_s) of each kind; `worker` makes its kinds of them."""
    embedder = HashingEmbedder()
    timeout_s = float(options.get("step_timeout_s", 120.0))
    pgvector: list[bool] = []

    def stores(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
        if not pgvector:
            pgvector.append(bool(execute(connection, load("leasehold.stores", "has_pgvector"))[0][0]))
        write_stored(connection, ended, pgvector=pgvector[0])

    return [
        ("validate", validate_page, write_read, 64, timeout_s),
        ("parse", parse_page, write_computed, 32, timeout_s),
        ("chunk", chunk_page, write_computed, 32, timeout_s),
        ("embed", lambda context, leases: embed_page(context, leases, embedder), write_computed, 32, timeout_s),
        ("store", store_page, stores, 64, timeout_s),
    ]


# -- validate ---------------------------------------------------------------------------------------------------------


def validate_page(context: Any, leases: Sequence[StepLease]) -> Iterator[Yield]:
    items = page_items(context.session, [lease.run_id for lease in leases])
    for index, lease in enumerate(leases):
        context.begin(lease)
        item = items.get(lease.run_id)
        yield index, _validate(item) if item is not None else Skip(SUPERSEDED), 500


def _validate(item: ItemRow) -> Outcome:
    started_ns = time.time_ns()
    try:
        data, stat = open_item(item.root, item.path, max_bytes=item.max_bytes)
    except Vanished as vanished:
        return Unread(vanished.reason, vanished.detail, item, settled=False)
    except StepError as error:
        return error
    if not data:
        return Unread("empty", item=item)
    media_type = detect(item.name, data)
    if not readable(media_type):
        return Unread(NO_READER, media_type, item, media_type)
    return Done(
        FileRead(item, hashlib.sha256(data).digest(), media_type, stat, is_racy(stat.mtime_ns, started_ns))
    )


def write_read(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
    """Effects of validate: documents, and what each item's file was when it was read."""
    found = [outcome.result for _, outcome in ended if isinstance(outcome, Done)]
    if found:
        ids = upsert_documents(connection, [(one.sha256, one.media_type, one.stat.size) for one in found])
        found.sort(key=lambda one: one.item.item_id)
        columns = (
            [one.item.item_id for one in found],
            [one.stat.size for one in found],
            [one.stat.mtime_ns for one in found],
            [one.stat.inode for one in found],
            [not one.racy for one in found],
            [one.media_type for one in found],
            [ids[one.sha256, one.media_type] for one in found],
        )
        execute(connection, load(PACKAGE, "items_read"), columns)
    write_skipped(connection, ended)


def write_skipped(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
    """Effects of a skip: the item's verdict; what it had stored before goes when nothing else has it."""
    unread = [outcome for _, outcome in ended if isinstance(outcome, Unread) and outcome.item is not None]
    if not unread:
        return
    rows = [(one, one.item) for one in unread if one.item is not None]
    params = {
        "items": [item.item_id for _, item in rows],
        "reasons": [one.reason for one, _ in rows],
        "details": [one.detail for one, _ in rows],
        "settled": [one.settled for one, _ in rows],
        "types": [one.media_type for one, _ in rows],
        "pipelines": [
            pipeline(one.media_type or item.media_type or "", item.parameters) for one, item in rows
        ],
    }
    old = dict(execute(connection, load(PACKAGE, "items_skipped"), params))
    _remove_unused(connection, [(item.collection_id, old.get(item.item_id)) for _, item in rows])


def _remove_unused(connection: Connection, left: Sequence[tuple[int, int | None]]) -> None:
    by_collection: dict[int, list[int]] = {}
    for collection_id, document_id in left:
        if document_id is not None:
            by_collection.setdefault(collection_id, []).append(document_id)
    for collection_id in sorted(by_collection):
        pg.remove_unused(connection, collection_id, by_collection[collection_id])


# -- parse, chunk, embed: one result per recipe -----------------------------------------------------------------------

RecipeOf = Callable[[ItemRow], bytes]
Compute = Callable[[ItemRow, bytes | None], bytes | Skip]


def parse_page(context: Any, leases: Sequence[StepLease]) -> Iterator[Yield]:
    def compute(item: ItemRow, _: bytes | None) -> bytes | Skip:
        try:
            data, _stat = open_item(item.root, item.path, max_bytes=item.max_bytes)
        except Vanished as vanished:
            return Unread(vanished.reason, vanished.detail, item, settled=False)
        if hashlib.sha256(data).digest() != item.sha256:
            return Unread(CHANGED, "the next ingest reads it again", item, item.media_type, settled=False)
        parsed = read(data, media_type=item.media_type or "", name=item.name)
        if not any(block.text.strip() for block in parsed.blocks):
            return Unread(NO_TEXT, item.media_type or "", item, item.media_type)
        return coding.parsed_to_bytes(parsed)

    return _recipe_page(context, leases, "parse", lambda item: item.recipes().parse, None, compute)


def chunk_page(context: Any, leases: Sequence[StepLease]) -> Iterator[Yield]:
    def compute(item: ItemRow, data: bytes | None) -> bytes | Skip:
        assert data is not None
        parsed = coding.parsed_from_bytes(data)
        options = item.parameters.chunk
        chunks = chunk(parsed, size=options.size, overlap=options.overlap)
        if not chunks:
            return Unread(NO_TEXT, item.media_type or "", item, item.media_type)
        return coding.chunks_to_bytes(parsed.title, chunks)

    return _recipe_page(
        context, leases, "chunk", lambda item: item.recipes().chunk, lambda item: item.recipes().parse, compute
    )


def embed_page(context: Any, leases: Sequence[StepLease], embedder: HashingEmbedder) -> Iterator[Yield]:
    def compute(item: ItemRow, data: bytes | None) -> bytes | Skip:
        assert data is not None
        _, chunks = coding.chunks_from_bytes(data)
        return coding.vectors_to_bytes(embedder.embed([embedded_text(one) for one in chunks]))

    return _recipe_page(
        context, leases, "embed", lambda item: item.recipes().embed, lambda item: item.recipes().chunk, compute
    )


def embedded_text(one: Chunk) -> str:
    """What stands for a chunk in its vector: its headings say what it is about, its text says the rest."""
    return f"{' '.join(one.heading)}\n{one.text}" if one.heading else one.text


def _recipe_page(
    context: Any,
    leases: Sequence[StepLease],
    work: str,
    recipe_of: RecipeOf,
    input_of: RecipeOf | None,
    compute: Compute,
) -> Iterator[Yield]:
    """Run one page of a step whose result is an artifact."""
    items = page_items(context.session, [lease.run_id for lease in leases])
    known = [(index, lease, items[lease.run_id]) for index, lease in enumerate(leases) if _has_document(items, lease)]
    wanted = [(recipe_of(item), lease.token, lease.step_id) for _, lease, item in known]
    claimed, existing = context.session.run(lambda connection: _claim(connection, work, wanted))
    inputs = _Inputs(context, [input_of(item) for _, _, item in known] if input_of else [])
    won_here: set[bytes] = set()
    for index, lease in enumerate(leases):
        if not _has_document(items, lease):
            yield index, Skip(SUPERSEDED), 100
    for (index, lease, item), (recipe, _, _) in zip(known, wanted, strict=True):
        if recipe in existing or recipe in won_here:
            yield index, Done(Computed(work, recipe, None)), 200
        elif not claimed[recipe]:
            yield index, Snooze(WAIT_S, f"another run has its {work}", recipe), 200
        else:
            context.begin(lease)
            won_here.add(recipe)
            yield index, *_computed(lease, item, work, recipe, inputs.get(input_of(item)) if input_of else None, compute)


def _has_document(items: dict[int, ItemRow], lease: StepLease) -> bool:
    item = items.get(lease.run_id)
    return item is not None and item.sha256 is not None


def _computed(
    lease: StepLease, item: ItemRow, work: str, recipe: bytes, data: bytes | None, compute: Compute
) -> tuple[Outcome, int]:
    try:
        result = compute(item, data)
    except StepError as error:
        return error, 500
    if isinstance(result, Skip):
        return result, 500
    made = artifact(recipe, work, result, lease.step_id)
    return Done(Computed(work, recipe, made)), len(made.content)


def _claim(
    connection: Connection, work: str, wanted: Sequence[tuple[bytes, int, int]]
) -> tuple[dict[bytes, bool], set[bytes]]:
    """Claim the recipes, then look which exist: a result whose maker has just committed is seen by the second look."""
    pairs = [(recipe, token) for recipe, token, _ in wanted]
    won = claims.take(connection, work, pairs)
    existing = database.sizes(connection, [recipe for recipe, _ in pairs]) if pairs else {}
    return {recipe: one for (recipe, _), one in zip(pairs, won, strict=True)}, set(existing)


class _Inputs:
    """Input artifacts of a page, read in the order in which they are needed, a bounded number of bytes at a time."""

    def __init__(self, context: Any, recipes: Sequence[bytes]) -> None:
        self._context = context
        self._order = list(dict.fromkeys(recipes))
        self._sizes: dict[bytes, int] | None = None
        self._read: dict[bytes, bytes] = {}

    def get(self, recipe: bytes) -> bytes:
        if recipe not in self._read:
            self._fill(recipe)
        if recipe not in self._read:
            raise StepError("its input is gone", "the artifact of the step before was removed",
                            error_class=ErrorClass.TRANSIENT, remedy="Run ingest again.")  # fmt: skip
        return self._read[recipe]

    def _fill(self, first: bytes) -> None:
        session = self._context.session
        if self._sizes is None:
            self._sizes = session.run(lambda connection: database.sizes(connection, self._order))
        start = self._order.index(first)
        batch, total = [], 0
        for recipe in self._order[start:]:
            total += self._sizes.get(recipe, 0)
            if batch and total > READ_BYTES:
                break
            batch.append(recipe)
        self._read = session.run(lambda connection: database.read(connection, batch))


def write_computed(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
    """Effects of parse, chunk and embed: save results, give the claims back and wake who waits for them."""
    computed = [(lease, outcome.result) for lease, outcome in ended if isinstance(outcome, Done)]
    database.save(connection, [one.artifact for _, one in computed if one.artifact is not None])
    if computed:
        claims.give_back(connection, computed[0][1].work, [(one.recipe, lease.token) for lease, one in computed])
    write_skipped(connection, ended)


# -- store ------------------------------------------------------------------------------------------------------------


def store_page(context: Any, leases: Sequence[StepLease]) -> Iterator[Yield]:
    items = page_items(context.session, [lease.run_id for lease in leases])
    order: list[bytes] = []
    for lease in leases:
        if _has_document(items, lease):
            item = items[lease.run_id]
            order += [item.recipes().chunk, item.recipes().embed]
    inputs = _Inputs(context, order)
    for index, lease in enumerate(leases):
        if not _has_document(items, lease):
            yield index, Skip(SUPERSEDED), 100
            continue
        context.begin(lease)
        item = items[lease.run_id]
        try:
            stored = _stored(item, inputs)
        except StepError as error:
            yield index, error, 500
        else:
            weight = sum(len(one.text) for one in stored.chunks) + 4 * item.parameters.dimensions * len(stored.chunks)
            yield index, Done(Ready(item, stored)), weight


def _stored(item: ItemRow, inputs: _Inputs) -> pg.Stored:
    assert item.pending_id is not None
    named = item.recipes()
    title, chunks = coding.chunks_from_bytes(inputs.get(named.chunk))
    vectors = coding.vectors_from_bytes(inputs.get(named.embed), item.parameters.dimensions)
    if len(vectors) != len(chunks):
        raise StepError("vectors and chunks differ in number", f"{len(vectors)} and {len(chunks)}")
    return pg.Stored(item.collection_id, item.pending_id, named.embed, title, chunks, vectors)


def write_stored(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]], *, pgvector: bool) -> None:
    """Effects of store: chunks in, the items moved to their new documents, what nothing refers to any more out."""
    ready = [outcome.result for _, outcome in ended if isinstance(outcome, Done)]
    if ready:
        pg.write(connection, [one.stored for one in ready], pgvector=pgvector)
        ready.sort(key=lambda one: one.item.item_id)
        params = {
            "items": [one.item.item_id for one in ready],
            "documents": [one.stored.document_id for one in ready],
            "pipelines": [pipeline(one.item.media_type or "", one.item.parameters) for one in ready],
        }
        old = dict(execute(connection, load(PACKAGE, "items_stored"), params))
        _remove_unused(connection, [(one.item.collection_id, old.get(one.item.item_id)) for one in ready])
    write_skipped(connection, ended)
