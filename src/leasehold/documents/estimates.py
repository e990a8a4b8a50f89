"""Estimates: what an ingest would compute, before it does: steps, tokens, money, time.

Counted, not guessed, where that is possible: a document's results are named by their recipes, so which of them exist is
looked up. A file that was never read is counted as if all of it were new text. Tokens are estimated from above (UTF-8
bytes / 3); money is tokens times the price that the settings name; time is documents times what one took in the newest
ingest of the collection that had at least ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from leasehold.artifacts import database
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.documents.recipes import recipes
from leasehold.documents.rows import PACKAGE
from leasehold.documents.sync import Planned
from leasehold.steps.readers import readable

PAGE = 1000


@dataclass(slots=True)
class Estimate:
    """What is to do. `steps` maps parse, chunk and embed to results that do not exist yet; `usd` is None without a
    price, `seconds` without an earlier ingest to go by."""

    documents: int = 0
    steps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("parse", "chunk", "embed"), 0))
    tokens: int = 0
    usd: float | None = None
    seconds: float | None = None


def estimate(session: Session, planned: Planned, *, usd_per_million_tokens: float = 0.0) -> Estimate:
    """What the runs of *planned* would compute. Reads the database, writes nothing."""
    found = Estimate()
    fresh = [*planned.plan.new, *planned.plan.changed]
    found.documents = len(fresh) + len(planned.plan.retry)
    for name in found.steps:
        found.steps[name] = len(fresh)
    found.tokens = sum(-(-entry.size // 3) for entry in fresh)
    again = [entry.path for entry in planned.plan.retry if entry.path not in planned.look_again]
    for paths in _pages(again):
        _add_known(session, planned, paths, found)
    if usd_per_million_tokens:
        found.usd = found.tokens * usd_per_million_tokens / 1e6
    rate = session.fetch(load(PACKAGE, "seconds_per_run"), (planned.source.collection.collection_id,))
    if rate and found.documents:
        found.seconds = found.documents * rate[0][0]
    return found


def _add_known(session: Session, planned: Planned, paths: Sequence[str], found: Estimate) -> None:
    """Add items whose content is known: which of their results exist is a matter of looking."""
    parameters = planned.source.collection.parameters
    rows = session.fetch(load(PACKAGE, "items_known"), (planned.source.source_id, list(paths)))
    wanted = {}
    for sha256, media_type, tokens in rows:
        if sha256 is not None and readable(media_type):
            wanted[recipes(bytes(sha256), media_type, parameters)] = tokens
    names = [name for one in wanted for name in (one.parse, one.chunk, one.embed)]
    there = session.run(lambda connection: set(database.sizes(connection, names)))
    for one, tokens in wanted.items():
        if one.embed in there:
            continue
        found.steps["embed"] += 1
        found.tokens += tokens
        if one.chunk not in there:
            found.steps["chunk"] += 1
            found.steps["parse"] += one.parse not in there


def _pages(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    return (paths[start : start + PAGE] for start in range(0, len(paths), PAGE))
