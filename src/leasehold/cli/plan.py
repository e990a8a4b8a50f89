"""`leasehold plan`: what an ingest would do. Writes nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import by_reason, counted, emit, say
from leasehold.cli.ingest import check_paths

SHOWN = 10


@click.command()
@click.argument("paths", nargs=-1, required=True, type=common.PathThere(), metavar="PATH...")
@click.option("--into", metavar="COLLECTION", help="Collection the documents would go into [default].")
@click.option("--include", multiple=True, metavar="PATTERN", help="Take only files that match (gitignore style).")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out files that match (gitignore style).")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="With this parameter: chunk.size=800.")
@common.common
def plan(
    paths: tuple[Path, ...], into: str | None, include: tuple[str, ...], exclude: tuple[str, ...],
    sets: tuple[str, ...], database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Say what an ingest of these folders would do, why, and what it costs. Nothing is written, not even the plan.

    No model is asked: tokens are estimated, dollars by embed.usd_per_million_tokens, time by the newest ingest.
    """
    chosen = common.settings(
        database, home,
        **{"ingest.collection": into, "source.include": include or None, "source.exclude": exclude or None},
        **common.changes(sets),
    )  # fmt: skip
    check_paths(list(paths))
    plans, changed = plan_all(chosen, list(paths))
    if as_json:
        emit("complete", collection=chosen.ingest.collection, changed=changed,
             sources=[as_dict(one, costs) for one, costs in plans])  # fmt: skip
        return 0
    for key, (old, new) in changed.items():
        say(f"{key}: {old} -> {new}")
    for one, costs in plans:
        for line in lines(one, costs):
            say(line)
    return 0


def plan_all(chosen: Any, paths: list[Path]) -> tuple[list[tuple[Any, Any]], dict[str, list[Any]]]:
    """Each path's plan with its estimate; and the collection's parameters that would change: key -> [old, new]."""
    from leasehold.documents import estimates, sync
    from leasehold.documents.models import Models
    from leasehold.documents.recipes import ByDocling, Parameters
    from leasehold.errors import NotFound

    with common.open_session(chosen, write=True) as session:
        try:
            collection = sync.find_collection(session, chosen.ingest.collection)
        except NotFound:
            collection = None
        asked = Parameters(chosen.chunk, docling=ByDocling.of(chosen.docling))
        parameters = Models(chosen.embed).planned(session, collection, asked, chosen.given)
        plans = []
        for path in paths:
            planned = sync.plan(session, sync.unregistered(session, collection, path, chosen.source, parameters))
            price = chosen.embed.usd_per_million_tokens
            plans.append((planned, estimates.estimate(session, planned, usd_per_million_tokens=price)))
        return plans, differences(collection.parameters, parameters) if collection else {}


def differences(old: Any, new: Any) -> dict[str, list[Any]]:
    """What differs between two sets of parameters: key -> [old, new]."""
    pairs = {
        "chunk.size": [old.chunk.size, new.chunk.size],
        "chunk.overlap": [old.chunk.overlap, new.chunk.overlap],
        "embedder": [old.embedder, new.embedder],
        "read by docling": [shown_docling(old.docling), shown_docling(new.docling)],
    }
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def shown_docling(by: Any) -> str:
    return f"{', '.join(by.media_types)}{'' if by.ocr else ', without OCR'}" if by is not None else "nothing"


def reasons(planned: Any) -> dict[str, list[str]]:
    """Why each file would be worked: reason -> paths."""
    decided = planned.plan
    again = [entry.path for entry in decided.retry if entry.path not in planned.look_again]
    found = {
        "new": [entry.path for entry in decided.new],
        "changed": [entry.path for entry in decided.changed],
        "moved, nothing to compute": [f"{one.old} -> {one.entry.path}" for one in decided.renamed],
        "deleted": list(decided.deleted),
        "settings or readers changed, or an earlier run did not end": again,
        "edited too shortly before it was read: read again to be sure": sorted(planned.look_again),
    }
    return {why: listed for why, listed in found.items() if listed}


def lines(planned: Any, costs: Any) -> list[str]:
    said = [f"{planned.source.uri}"]
    for why, listed in reasons(planned).items():
        examples = ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "")
        said.append(f"  {len(listed):>9,} {why}: {examples}")
    said.append(f"  {planned.plan.unchanged:>9,} unchanged: nothing is read")
    odd: dict[str, int] = {}
    for one in planned.plan.oddities:
        odd[f"{one.reason} ({one.verdict})"] = odd.get(f"{one.reason} ({one.verdict})", 0) + 1
    if odd:
        said.append(f"  not read: {by_reason(odd)}")
    excluded = planned.counts.excluded_files + planned.counts.excluded_directories
    if excluded:
        said.append(f"  left out by patterns: {counted(excluded, 'entry', 'entries')}")
    return said + cost_lines(costs)


def cost_lines(costs: Any) -> list[str]:
    if not costs.documents:
        return []
    words = {"parse": "to parse", "chunk": "to chunk", "embed": "to embed"}
    said = ", ".join(f"{costs.steps[kind]:,} {word}" for kind, word in words.items())
    cost = f"  at most {said}: {costs.tokens:,} tokens"
    if costs.usd is not None:
        cost += f", ${costs.usd:,.2f}" if costs.usd >= 0.01 else f", ${costs.usd:.6f}"
    if costs.seconds is not None:
        cost += f", about {duration(costs.seconds)} at the pace of the newest ingest"
    return [cost]


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def as_dict(planned: Any, costs: Any) -> dict[str, Any]:
    decided = planned.plan
    return {
        "source": planned.source.uri,
        "seen": planned.seen,
        "unchanged": decided.unchanged,
        "excluded": planned.counts.excluded_files + planned.counts.excluded_directories,
        "reasons": reasons(planned),
        "estimate": asdict(costs),
        "not_read": [one._asdict() for one in decided.oddities],
    }
