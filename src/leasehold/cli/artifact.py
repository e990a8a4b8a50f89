"""`leasehold artifact …`: results that are kept under their recipes."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, parse_time, say

OLDER = click.option("--older-than", default="1d", show_default=True, metavar="TIME", help="90s, 5m, 1h, 7d, or 0.")


@click.group()
def artifact() -> None:
    """Results of steps, kept so that nothing is computed twice."""


@artifact.command("show")
@OLDER
@common.common
def show(older_than: str, database: str | None, home: str | None, as_json: bool) -> int:
    """How many results there are, how large, where they lie, and how many of them nothing refers to."""
    from leasehold.documents import orphans

    older_than_s = age(older_than)
    with common.open_session(common.settings(database, home)) as session:
        every, orphaned = orphans.totals(session), orphans.orphaned(session, older_than_s=older_than_s)
        places = orphans.places(session)
    if as_json:
        emit("complete", artifacts=kinds(every), orphaned=kinds(orphaned), orphaned_documents=orphaned.documents,
             places=[asdict(one) for one in places])  # fmt: skip
        return 0
    for kind, (number, size) in every.kinds.items():
        lost, lost_size = orphaned.kinds.get(kind, (0, 0))
        say(f"{kind}: {counted(number, 'result')}, {megabytes(size)}; "
            f"{lost:,} of them ({megabytes(lost_size)}) nothing refers to")  # fmt: skip
    if not every.kinds:
        note("no results yet")
    for one in places if len(places) > 1 else []:
        strays = f"; {counted(one.strays, 'object')} that no result refers to" if one.strays else ""
        where = "the database" if one.url == "db:" else one.url
        say(f"in {where}: {counted(one.results, 'result')}, {megabytes(one.bytes)}{strays}")
    return 0


@artifact.command("collect")
@OLDER
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would go.")
@common.common
def collect(older_than: str, yes: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """Remove results and documents that nothing refers to: made under parameters that no collection has any more.

    Going back to such parameters computes them again. Objects in a folder or bucket go too, by their exact names, also
    those that an interrupted worker left. Exit code 4: an ingest has work left. 3: a store could not be reached.
    """
    from leasehold.artifacts.keeping import Artifacts
    from leasehold.documents import orphans

    older_than_s = age(older_than)
    chosen = common.settings(database, home)
    with common.open_session(chosen) as session:
        act = orphans.collect if yes else orphans.orphaned
        gone = act(session, older_than_s=older_than_s)
        artifacts = Artifacts(chosen.target, chosen.artifacts)
        swept = orphans.sweep(session, artifacts, older_than_s=older_than_s) if yes else orphans.Swept()
        strays = 0 if yes else orphans.strays(session, older_than_s=older_than_s)
    outcome = "partial" if swept.away else "complete"
    if as_json:
        emit(outcome, collected=yes, artifacts=kinds(gone), documents=gone.documents,
             objects=swept.objects if yes else strays, away=swept.away)  # fmt: skip
        return 3 if swept.away else 0
    objects = swept.objects if yes else strays
    say(f"{'removed' if yes else 'would remove'} {counted(gone.number, 'result')} ({megabytes(gone.bytes)}) "
        f"and {counted(gone.documents, 'document')} that nothing refers to"
        + (f"; {counted(objects, 'object')} from stores" if objects else ""))  # fmt: skip
    for url, why in swept.away.items():
        note(f"left in {url}: {why} Collect again when it is there.")
    if not yes and gone.number + gone.documents + strays:
        note(f"to do it: leasehold artifact collect --older-than {older_than} --yes")
    return 3 if swept.away else 0


@artifact.command("forget")
@click.argument("url")
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would be forgotten.")
@common.common
def forget(url: str, yes: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """Forget an artifact store that is lost for good: what lay there counts as not made, and is made again when needed.

    Nothing in the store itself is touched. Exit code 4 when an ingest has work left.
    """
    from leasehold.documents import orphans

    with common.open_session(common.settings(database, home)) as session:
        was = orphans.forget(session, url, really=yes)
    if as_json:
        emit("complete", forgotten=yes, **asdict(was))
        return 0
    say(f"{'forgot' if yes else 'would forget'} {was.url} with {counted(was.results, 'result')} "
        f"({megabytes(was.bytes)})")  # fmt: skip
    if not yes:
        note(f"to do it: leasehold artifact forget {shlex.quote(url)} --yes")
    return 0


def age(text: str) -> float:
    """Seconds of 90, 90s, 5m, 1h, 7d, and 0."""
    if text == "0":
        return 0.0
    if text.endswith("d") and text[:-1].isdigit():
        return parse_time(text[:-1], "--older-than") * 86_400
    return parse_time(text, "--older-than")


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def kinds(results: Any) -> dict[str, dict[str, int]]:
    return {kind: {"number": number, "bytes": size} for kind, (number, size) in results.kinds.items()}
