"""`leasehold collection …`: what there is, how two differ, and taking one away."""

from __future__ import annotations

from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, say

NAME = click.argument("name", metavar="COLLECTION")


@click.group()
def collection() -> None:
    """Collections: documents with one set of parameters, searched together."""


@collection.command("list")
@common.common
def listed(database: str | None, home: str | None, as_json: bool) -> int:
    """Every collection, with its size and its embedder."""
    from leasehold.documents import collections

    with common.open_session(common.settings(database, home)) as session:
        found = collections.summaries(session)
    if as_json:
        emit("complete", collections=[body(one) for one in found])
        return 0
    for one in found:
        say(line(one))
    if not found:
        note("no collection yet: leasehold ingest PATH makes one")
    return 0


@collection.command("show")
@NAME
@common.common
def show(name: str, database: str | None, home: str | None, as_json: bool) -> int:
    """One collection: its parameters, its sources, and what became of their files."""
    from leasehold.documents import collections, reports

    with common.open_session(common.settings(database, home)) as session:
        one = collections.summaries(session, name)[0]
        sources = reports.source_states(session, name)
    if as_json:
        emit("complete", **body(one), sources=[{"uri": each.uri, "states": each.states} for each in sources])
        return 0
    say(line(one))
    has = one.parameters
    say(f"  chunk.size {has.chunk.size}, chunk.overlap {has.chunk.overlap}, vectors of {has.dimensions} numbers"
        + (f" by {has.place}" if has.place else ""))  # fmt: skip
    for each in sources:
        states = ", ".join(f"{n:,} {state}" for state, n in sorted(each.states.items())) or "nothing yet"
        say(f"  {each.uri}: {states}")
    return 0


@collection.command("compare")
@click.argument("mine", metavar="COLLECTION")
@click.argument("other", metavar="OTHER")
@common.common
def compare(mine: str, other: str, database: str | None, home: str | None, as_json: bool) -> int:
    """Which documents only one of two collections has, and which parameters differ.

    Exit code 1 when the documents or the parameters differ.
    """
    from leasehold.cli.plan import differences
    from leasehold.documents import collections

    with common.open_session(common.settings(database, home)) as session:
        pair = [collections.summaries(session, name)[0] for name in (mine, other)]
        sides = collections.compare(session, mine, other)
    differ = differences(pair[0].parameters, pair[1].parameters)
    equal = not differ and not sides["mine"].documents and not sides["other"].documents
    if as_json:
        told = {"only_first": sides["mine"], "only_second": sides["other"], "both": sides["both"]}
        emit("complete" if equal else "failed", collections=[mine, other], parameters=differ,
             **{name: vars_of(side) for name, side in told.items()})  # fmt: skip
        return 0 if equal else 1
    for key, (old, new) in differ.items():
        say(f"{key}: {old} and {new}")
    same = f", {counted(sides['both'].same, 'of them', 'of them')} made of the same results"
    say(f"in both: {counted(sides['both'].documents, 'document')}{same}")
    for side, name in (("mine", mine), ("other", other)):
        paths = sides[side].paths
        more = f", … and {sides[side].documents - len(paths):,} more" if sides[side].documents > len(paths) else ""
        say(f"only in {name}: {counted(sides[side].documents, 'document')}"
            + (f" ({', '.join(paths)}{more})" if paths else ""))  # fmt: skip
    return 0 if equal else 1


@collection.command("drop")
@NAME
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would go.")
@common.common
def drop(name: str, yes: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """Remove a collection, its sources and vectors, and the results that only it needed. Your files stay as they are.

    Exit code 4 when an ingest of it has work left.
    """
    from leasehold.artifacts.keeping import Artifacts
    from leasehold.documents import collections, orphans

    chosen = common.settings(database, home)
    with common.open_session(chosen) as session:
        one = collections.drop(session, name) if yes else collections.summaries(session, name)[0]
        artifacts = Artifacts(chosen.target, chosen.artifacts)
        swept = orphans.sweep(session, artifacts) if yes else orphans.Swept()
    for url, why in swept.away.items():
        note(f"its results stay in {url}: {why} `leasehold artifact collect --yes` removes them when it is there.")
    if as_json:
        emit("complete", dropped=yes, **body(one))
        return 0
    what = f"{counted(one.documents, 'document')} of {counted(one.sources, 'source')}"
    say(f"{name}: {'dropped' if yes else 'would drop'} {what}; the files stay as they are")
    if not yes:
        note(f"to do it: leasehold collection drop {name} --yes")
    return 0


def line(one: Any) -> str:
    when = f", newest {one.stored_at:%Y-%m-%d %H:%M}" if one.stored_at else ""
    return (f"{one.name}: {counted(one.documents, 'document')}, {counted(one.chunks, 'chunk')}, "
            f"{counted(one.sources, 'source')}, {one.parameters.embedder}{when}")  # fmt: skip


def body(one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "documents": one.documents,
        "chunks": one.chunks,
        "sources_count": one.sources,
        "created_at": one.created_at,
        "stored_at": one.stored_at,
        "parameters": one.parameters.as_json(),
    }


def vars_of(side: Any) -> dict[str, Any]:
    return {"documents": side.documents, "same_results": side.same, "paths": side.paths}
