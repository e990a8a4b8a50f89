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
@click.option("--fingerprint", multiple=True, metavar="F", help="Only runs that failed alike (leasehold group show).")
@common.common
def retry(
    failed: bool,
    reason: tuple[str, ...],
    fingerprint: tuple[str, ...],
    database: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Open a new round for failed runs; what succeeded is not done again. The next ingest or a worker works them."""
    from leasehold.documents import reports
    from leasehold.kernel import groups

    if not failed:
        raise UsageError("Say what to retry.", remedy="Run `leasehold retry --failed`.")
    chosen = common.settings(database, home)
    with common.open_session(chosen) as session:
        failed_runs = reports.failed_runs(session)
        groups.check_known(groups.failures(session, list(failed_runs)), reason, fingerprint)
        reopened = {
            group_id: n
            for group_id, runs in failed_runs.items()
            if (
                n := groups.retry(
                    session, group_id, reasons=reason or None, fingerprints=fingerprint or None, runs=runs
                )
            )
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
