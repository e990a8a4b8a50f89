"""Parse, chunk and embed: steps whose result is an artifact under its recipe.

A result that exists is used; one that somebody computes right now is waited for; else the recipe is claimed, computed,
and saved in the transaction in which the step's end is accepted. Two runs never compute one recipe at once.

What a step makes of its input is a plain function (`steps`); here is only what surrounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from leasehold.artifacts import coding, database
from leasehold.artifacts.database import Artifact
from leasehold.artifacts.keeping import Artifacts
from leasehold.db.session import Connection
from leasehold.documents.inputs import InputGone, Inputs
from leasehold.documents.readings import Readings
from leasehold.documents.recipes import Parameters
from leasehold.documents.rows import ItemRow, page_items
from leasehold.documents.skips import NO_TEXT, SUPERSEDED, Unread, input_gone, write_skipped
from leasehold.documents.waiting import waits
from leasehold.errors import ArtifactStoreAway, ArtifactStoreFull
from leasehold.kernel import claims
from leasehold.steps.chunking import chunk
from leasehold.steps.embedders import Embedder
from leasehold.types import Chunk, Done, Outcome, Skip, Snooze, StepError, StepLease

WAIT_S = 1.0
"""How long a step waits for a recipe that somebody else computes, if it is not woken sooner."""
OUTCOME_BYTES = 500
TEXTS_AT_ONCE = 256
"""Chunks embedded at once: their texts and vectors are held beside the artifact that is being written."""

Yield = tuple[int, Outcome, int]
RecipeOf = Callable[[ItemRow], bytes]
Compute = Callable[[ItemRow, Callable[[], bytes | bytearray]], bytes | bytearray | Skip]
"""What a step makes of an item and its input (read when it is called for)."""


@dataclass(frozen=True, slots=True)
class Work:
    """A step whose result is an artifact: its name, the names of result and input (None: the file), how it is made."""

    name: str
    recipe: RecipeOf
    input: RecipeOf | None
    compute: Compute


@dataclass(frozen=True, slots=True)
class Computed:
    """A result under its recipe; `artifact` is None when it existed already."""

    work: str
    recipe: bytes
    artifact: Artifact | None


@dataclass(frozen=True, slots=True)
class Keep:
    """Where a page has its inputs from and puts its results."""

    context: Any
    artifacts: Artifacts
    inputs: Inputs


# -- the steps --------------------------------------------------------------------------------------------------------


def parse_page(context: Any, leases: Sequence[StepLease], artifacts: Artifacts, readings: Readings) -> Iterator[Yield]:
    of = {lease.run_id: lease for lease in leases}

    def compute(item: ItemRow, _: Callable[[], bytes | bytearray]) -> bytes | bytearray | Skip:
        return readings.parse(item, lambda: context.begin(of[item.run_id]))

    return _recipe_page(context, leases, artifacts, Work("parse", lambda item: item.recipes().parse, None, compute))


def chunk_page(context: Any, leases: Sequence[StepLease], artifacts: Artifacts) -> Iterator[Yield]:
    work = Work("chunk", lambda item: item.recipes().chunk, lambda item: item.recipes().parse, _chunk)
    return _recipe_page(context, leases, artifacts, work)


def _chunk(item: ItemRow, parsed_bytes: Callable[[], bytes | bytearray]) -> bytes | Skip:
    parsed = coding.parsed_from_bytes(parsed_bytes())
    chunks = chunk(parsed, size=item.parameters.chunk.size, overlap=item.parameters.chunk.overlap)
    if not chunks:
        return Unread(NO_TEXT, item.media_type or "", item, item.media_type)
    title, notes = parsed.title, parsed.notes
    del parsed
    return coding.chunks_to_bytes(title, chunks, notes)


def embed_page(
    context: Any,
    leases: Sequence[StepLease],
    artifacts: Artifacts,
    embedder_of: Callable[[Parameters], Embedder],
) -> Iterator[Yield]:
    def compute(item: ItemRow, chunk_bytes: Callable[[], bytes | bytearray]) -> bytearray | Skip:
        embedder = embedder_of(item.parameters)
        chunks = coding.chunks_from_bytes(chunk_bytes())[1]
        vectors = coding.VectorsWriter()
        for start in range(0, len(chunks), TEXTS_AT_ONCE):
            vectors.add(embedder.embed([embedded_text(one) for one in chunks[start : start + TEXTS_AT_ONCE]]))
        return vectors.content()

    work = Work("embed", lambda item: item.recipes().embed, lambda item: item.recipes().chunk, compute)
    return _recipe_page(context, leases, artifacts, work)


def embedded_text(one: Chunk) -> str:
    """What stands for a chunk in its vector: its headings say what it is about, its text says the rest."""
    return f"{' '.join(one.heading)}\n{one.text}" if one.heading else one.text


# -- what surrounds them ----------------------------------------------------------------------------------------------


def _recipe_page(context: Any, leases: Sequence[StepLease], artifacts: Artifacts, work: Work) -> Iterator[Yield]:
    """Run one page of a step whose result is an artifact."""
    items = page_items(context.session, [lease.run_id for lease in leases])
    known = [items.get(lease.run_id) for lease in leases]
    order = [item for item in known if item is not None and item.sha256 is not None]
    pairs = zip(known, leases, strict=True)
    wanted = [(work.recipe(item), lease.token) for item, lease in pairs if item is not None and item.sha256 is not None]
    claimed, existing = _claim(context, work.name, wanted)
    inputs = Inputs(context.session, artifacts, [work.input(item) for item in order] if work.input else [])
    keep = Keep(context, artifacts, inputs)
    here: dict[bytes, Outcome] = {}
    for index, (item, lease) in enumerate(zip(known, leases, strict=True)):
        if item is None or item.sha256 is None:
            yield index, Skip(SUPERSEDED), OUTCOME_BYTES
            continue
        recipe = work.recipe(item)
        if recipe in existing:
            yield index, Done(Computed(work.name, recipe, None)), OUTCOME_BYTES
        elif recipe in here:
            yield index, _same(here[recipe], item), OUTCOME_BYTES
        elif not claimed[recipe]:
            yield index, Snooze(WAIT_S, f"another run has its {work.name}", recipe), OUTCOME_BYTES
        else:
            context.begin(lease)
            outcome, weight = _computed(lease, item, work, recipe, keep)
            here[recipe] = _light(outcome)
            yield index, outcome, weight
            del outcome


def _claim(context: Any, work: str, wanted: Sequence[tuple[bytes, int]]) -> tuple[dict[bytes, bool], set[bytes]]:
    """Claim the recipes that do not exist, then look again: the result of a maker that has just committed is seen."""
    recipes = sorted({recipe for recipe, _ in wanted})
    if not recipes:
        return {}, set()

    def claim(connection: Connection) -> tuple[dict[bytes, bool], set[bytes]]:
        existing = set(database.sizes(connection, recipes))
        pairs = [(recipe, token) for recipe, token in wanted if recipe not in existing]
        if not pairs:
            return {}, existing
        won = claims.take(connection, work, pairs)
        existing |= set(database.sizes(connection, [recipe for recipe, _ in pairs]))
        return {recipe: one for (recipe, _), one in zip(pairs, won, strict=True)}, existing

    answer: tuple[dict[bytes, bool], set[bytes]] = context.session.run(claim)
    return answer


def _computed(lease: StepLease, item: ItemRow, work: Work, recipe: bytes, keep: Keep) -> tuple[Outcome, int]:
    try:
        keep.artifacts.check_room(keep.context.session)  # before the work, which may cost money
        result = work.compute(item, lambda: keep.inputs.take(work.input(item)) if work.input else b"")
        if isinstance(result, Skip):
            return result, OUTCOME_BYTES
        made = keep.artifacts.make(
            keep.context.session, recipe, work.name, result, step_id=lease.step_id, token=lease.token
        )
    except StepError as error:
        return error, OUTCOME_BYTES
    except InputGone:
        return input_gone(item), OUTCOME_BYTES
    except (ArtifactStoreAway, ArtifactStoreFull) as error:
        return waits(error, keep.artifacts.held_s), OUTCOME_BYTES
    return Done(Computed(work.name, recipe, made)), made.weight + OUTCOME_BYTES


def _light(outcome: Outcome) -> Outcome:
    """What a second item with the same content is told: the same, without carrying the result again."""
    if isinstance(outcome, Done):
        return Done(replace(outcome.result, artifact=None))
    return outcome


def _same(outcome: Outcome, item: ItemRow) -> Outcome:
    if not isinstance(outcome, Unread):
        return outcome
    if outcome.settled:  # the content is to blame, and it is this item's content too
        return replace(outcome, item=item)
    return Snooze(0.0, "read by itself")  # the other item's file vanished or changed; this one's may be as it was


def write_computed(connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
    """Effects of parse, chunk and embed: save results, give the claims back and wake who waits for them."""
    computed = [(lease, outcome.result) for lease, outcome in ended if isinstance(outcome, Done)]
    write_skipped(connection, ended)
    database.save(connection, [one.artifact for _, one in computed if one.artifact is not None])
    made = [(one.recipe, lease.token) for lease, one in computed if one.artifact is not None]
    if made:
        claims.give_back(connection, computed[0][1].work, made)
