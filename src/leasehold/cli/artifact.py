"""`leasehold artifact …`: results that are kept under their recipes."""

from __future__ import annotations

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
    """How many results there are, how large, and how many of them nothing refers to."""
    from leasehold.documents import orphans

    older_than_s = age(older_than)
    with common.open_session(common.settings(database, home)) as session:
        every, orphaned = orphans.totals(session), orphans.orphaned(session, older_than_s=older_than_s)
    if as_json:
        emit("complete", artifacts=kinds(every), orphaned=kinds(orphaned), orphaned_documents=orphaned.documents)
        return 0
    for kind, (number, size) in every.kinds.items():
        lost, lost_size = orphaned.kinds.get(kind, (0, 0))
        say(f"{kind}: {counted(number, 'result')}, {megabytes(size)}; "
            f"{lost:,} of them ({megabytes(lost_size)}) nothing refers to")  # fmt: skip
    if not every.kinds:
        note("no results yet")
    return 0


@artifact.command("collect")
@OLDER
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would go.")
@common.common
def collect(older_than: str, yes: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """Remove results and documents that nothing refers to: made under parameters that no collection has any more.

    Going back to such parameters computes them again. Exit code 4 when an ingest has work left.
    """
    from leasehold.documents import orphans

    older_than_s = age(older_than)
    with common.open_session(common.settings(database, home)) as session:
        act = orphans.collect if yes else orphans.orphaned
        gone = act(session, older_than_s=older_than_s)
    if as_json:
        emit("complete", collected=yes, artifacts=kinds(gone), documents=gone.documents)
        return 0
    say(f"{'removed' if yes else 'would remove'} {counted(gone.number, 'result')} ({megabytes(gone.bytes)}) "
        f"and {counted(gone.documents, 'document')} that nothing refers to")  # fmt: skip
    if not yes and gone.number + gone.documents:
        note(f"to do it: leasehold artifact collect --older-than {older_than} --yes")
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
