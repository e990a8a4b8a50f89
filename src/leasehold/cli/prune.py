"""`leasehold prune`: history leaves the database."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.artifact import age, megabytes
from leasehold.cli.common import counted, emit, note, say

SAID = {
    "would go": "would go",
    "pruned": "gone",
    "current": "still being filled",
    "nothing": "nothing in it may go",
    "held": "stays: more of it must stay than may go",
    "busy": "is in use; prune again",
}


@click.command()
@click.option("--older-than", default="30d", show_default=True, metavar="TIME", help="90s, 5m, 1h, 7d, or 0.")
@click.option("--keep-failed", is_flag=True, help="Failed runs stay, to be retried, however old they are.")
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@common.common
def prune(
    older_than: str, keep_failed: bool, dry_run: bool, database: str | None, home: str | None, as_json: bool
) -> int:
    """Let runs and events of groups that ended long ago leave the database. Documents, chunks and results stay.

    Safe beside work, may be interrupted and run again; good for cron. Exit code 3 when something was in use.
    """
    from leasehold.documents import pruning

    older_than_s = age(older_than)
    chosen = common.settings(database, home)
    with common.open_session(chosen) as session:
        if dry_run:
            found = pruning.look(session, older_than_s=older_than_s, keep_failed=keep_failed)
    if not dry_run:
        found = _prune(chosen, older_than_s, keep_failed)
    busy = any(one.verdict == "busy" for one in found.ranges)
    if as_json:
        emit("partial" if busy else "complete", dry_run=dry_run, runs=found.runs, closed=found.closed,
             ranges=[asdict(one) for one in found.ranges], events=[asdict(one) for one in found.events],
             tables=found.tables, rows=found.rows)  # fmt: skip
    else:
        _tell(found, dry_run)
    return 3 if busy else 0


def _prune(chosen: Any, older_than_s: float, keep_failed: bool) -> Any:
    from leasehold.db.session import Session
    from leasehold.documents import pruning

    with Session(chosen.target, route="direct", application_name="leasehold prune") as direct:
        return pruning.prune(direct, older_than_s=older_than_s, keep_failed=keep_failed,
                             on_range=lambda one: note(_line(one)))  # fmt: skip


def _line(one: Any) -> str:
    kept = f", {counted(one.kept, 'run')} of it kept" if one.kept and one.gone else ""
    live = f" ({counted(one.live, 'run')} not ended)" if one.live else ""
    runs = f"{counted(one.gone, 'run')}{kept}" if one.verdict in ("would go", "pruned") else f"range {one.range}"
    return f"{runs}{live}: {SAID[one.verdict]} ({megabytes(one.bytes)})"


def _tell(found: Any, dry_run: bool) -> None:
    for one in found.ranges:
        if dry_run:
            say(_line(one))
        for group in one.keeping if one.verdict in ("held", "would go") else ():
            say(f"  group {group['group_id']} keeps {counted(group['runs'], 'run')}: {group['why']}")
    for one in found.events:
        say(f"events of range {one.range}: {'would go' if dry_run else 'gone'} ({megabytes(one.bytes)})")
    freed = sum(one.bytes for one in (*found.ranges, *found.events) if getattr(one, "verdict", "pruned") == "pruned")
    if dry_run:
        say(f"{counted(found.runs, 'run')} would go")
    else:
        say(f"{counted(found.runs, 'run')} gone, {megabytes(freed)} freed, {counted(found.rows, 'small row')} removed")
