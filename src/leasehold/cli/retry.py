"""`leasehold retry`: a new round for what failed."""

from __future__ import annotations

import shlex
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, say, shown
from leasehold.errors import UsageError


@click.command()
@click.option("--failed", is_flag=True, help="Every run that failed. Required: nothing bulk happens by default.")
@click.option("--reason", multiple=True, metavar="REASON", help="Only runs that failed for this reason (as shown).")
@common.common
def retry(failed: bool, reason: tuple[str, ...], database: str | None, home: str | None, as_json: bool) -> int:
    """Open a new round for failed runs; what succeeded is not done again. The next ingest or a worker works them."""
    from leasehold.documents import reports
    from leasehold.kernel import groups

    if not failed:
        raise UsageError("Say what to retry.", remedy="Run `leasehold retry --failed`.")
    chosen = common.settings(database, home)
    with common.open_session(chosen) as session:
        reopened = {
            group_id: n
            for group_id, runs in reports.failed_runs(session).items()
            if (n := groups.retry(session, group_id, reasons=list(reason) or None, runs=runs))
        }
        sources = reports.source_states(session)
    total = sum(reopened.values())
    if as_json:
        emit("complete", reopened=total, groups=reopened)
    else:
        say(f"reopened {counted(total, 'run')}")
        if total:
            hint(sources)
    return 0


def hint(sources: list[Any]) -> None:
    waiting = [one for one in sources if one.states.get("pending")]
    for one in waiting[:3]:
        into = "" if one.collection == "default" else f" --into {one.collection}"
        note(f"next: leasehold ingest {shlex.quote(shown(one.file))}{into}")
