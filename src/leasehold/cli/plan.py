"""`leasehold plan`: what an ingest would do. Writes nothing."""

from __future__ import annotations

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
@common.common
def plan(
    paths: tuple[Path, ...], into: str | None, include: tuple[str, ...], exclude: tuple[str, ...], database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Say what an ingest of these folders would do, and why. Nothing is written, not even the plan."""
    chosen = common.settings(
        database, home,
        **{"ingest.collection": into, "source.include": include or None, "source.exclude": exclude or None},
    )  # fmt: skip
    check_paths(list(paths))
    plans = plan_all(chosen, list(paths))
    if as_json:
        emit("complete", collection=chosen.ingest.collection, sources=[as_dict(one) for one in plans])
        return 0
    for one in plans:
        for line in lines(one):
            say(line)
    return 0


def plan_all(chosen: Any, paths: list[Path]) -> list[Any]:
    from leasehold.documents import sync
    from leasehold.documents.models import Models
    from leasehold.documents.recipes import Parameters
    from leasehold.errors import NotFound

    with common.open_session(chosen, write=True) as session:
        try:
            collection = sync.find_collection(session, chosen.ingest.collection)
        except NotFound:
            collection = None
        parameters = Models(chosen.embed).planned(session, collection, Parameters(chosen.chunk))
        return [
            sync.plan(session, sync.unregistered(session, collection, path, chosen.source, parameters))
            for path in paths
        ]


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


def lines(planned: Any) -> list[str]:
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
    return said


def as_dict(planned: Any) -> dict[str, Any]:
    decided = planned.plan
    return {
        "source": planned.source.uri,
        "seen": planned.seen,
        "unchanged": decided.unchanged,
        "excluded": planned.counts.excluded_files + planned.counts.excluded_directories,
        "reasons": reasons(planned),
        "not_read": [one._asdict() for one in decided.oddities],
    }
