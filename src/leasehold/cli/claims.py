"""`leasehold claims …`: share the rows of your own table among workers, in SQL alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, say
from leasehold.errors import PermissionDenied, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 10
SEE_FIRST = {
    "release": "See first: `leasehold claims release --name {name} --all --dry-run`.",
    "retry": "See first: `leasehold claims retry --name {name} --all --dry-run`.",
}
OWNERS = "Use the role that owns the table, or give its owner what `leasehold claims sql` prints."
STATES = ("held", "waiting", "succeeded", "failed")


@click.group()
def claims() -> None:
    """Claims over your own table: a claim table and functions beside it, made by one SQL script."""


def described(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which table is shared, and under which name."""
    for option in reversed((
        click.option("--table", required=True, metavar="SCHEMA.TABLE",
                     help="The table whose rows are shared, as in SQL."),
        click.option("--id", "id_column", required=True, metavar="COLUMN", help="Its key: one unique column."),
        click.option("--id-type", required=True, metavar="TYPE", help="The key's type: uuid, bigint or text."),
        click.option("--name", required=True, metavar="NAME",
                     help="A row in the singular; it becomes part of all names: thought."),
        click.option("--content-column", "content", multiple=True, metavar="COLUMN",
                     help="A column whose change opens a result again [any column]."),
        click.option("--attempts-max", type=int, default=5, show_default=True, metavar="N",
                     help="Claims of one content before a row that always fails ends failed."),
    )):  # fmt: skip
        function = option(function)
    return function


def named(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which claims are meant."""
    for option in reversed((
        click.option("--name", required=True, metavar="NAME", help="The name they were installed under."),
        click.option("--schema", metavar="SCHEMA", help="Their schema, when two have claims of that name."),
    )):  # fmt: skip
        function = option(function)
    return function


@claims.command()
@described
@common.common
def sql(
    table: str, id_column: str, id_type: str, name: str, content: tuple[str, ...], attempts_max: int,
    database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Print the script that makes the claims, with its rollback. Connects to nothing."""
    from leasehold.claims import script

    wanted = script.of(table, id_column, id_type, name, content, attempts_max)
    if as_json:
        emit("complete", **script.as_dict(wanted), script=script.printed(wanted))
    else:
        say(script.printed(wanted).rstrip("\n"))
    return 0


@claims.command()
@described
@common.common
def install(
    table: str, id_column: str, id_type: str, name: str, content: tuple[str, ...], attempts_max: int,
    database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Run that script on the database, in one transaction. Safe to repeat."""
    from leasehold.claims import report, script

    wanted = script.of(table, id_column, id_type, name, content, attempts_max)
    with opened(database, home) as session:
        report.apply(session, wanted)
    if as_json:
        emit("complete", **script.as_dict(wanted))
    else:
        say(f"claims of {wanted.described} are ready: claim_next_{name}s, release_{name}, …")
        note(f"next: leasehold claims status --name {name}")
    return 0


@claims.command()
@named
@common.common
def status(name: str, schema: str | None, database: str | None, home: str | None, as_json: bool) -> int:
    """Each kind of work: what is done, how fast, and who holds how much until when."""
    from leasehold.claims import registry, report

    with opened(database, home) as session:
        found = registry.find(session, name, schema)
        progress, holders = report.progress(session, found), report.holders(session, found)
    if as_json:
        emit("complete", table=found.described, progress=[asdict(one) for one in progress],
             holders=[asdict(one) for one in holders])  # fmt: skip
        return 0
    for line in status_lines(found, progress, holders):
        say(line)
    return 0


@claims.command("list")
@named
@click.option("--state", type=click.Choice(STATES), help="Only claims in this state.")
@click.option("--work-type", metavar="TYPE", help="Only this kind of work.")
@click.option("--worker", metavar="ID", help="Only of this worker.")
@click.option("--id", "row_id", metavar="ID", help="Only of this row.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, metavar="N", help="Claims to show."
)
@common.common
def list_(
    name: str, schema: str | None, state: str | None, work_type: str | None, worker: str | None, row_id: str | None,
    limit: int, database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Every claim that matches, with its holder, attempt, and last error."""
    from leasehold.claims import registry, report

    which = report.Filter(work_type=work_type, worker=worker, id=row_id)
    with opened(database, home) as session:
        found = registry.find(session, name, schema)
        rows = report.listed(session, found, which, state, limit=limit)
        total = report.count(session, found, which, state)
    if as_json:
        emit("complete", table=found.described, total=total, claims=[asdict(one) for one in rows])
        return 0
    for one in rows:
        say(claim_line(one))
    if total > len(rows):
        note(f"{len(rows):,} of {total:,}; see more with --limit")
    return 0


@claims.command()
@named
@click.option("--work-type", metavar="TYPE", help="Only this kind of work.")
@click.option("--worker", metavar="ID", help="Only of this worker.")
@click.option("--id", "row_id", metavar="ID", help="Only of this row.")
@click.option("--expired", is_flag=True, help="Only claims whose time is over.")
@click.option("--all", "everything", is_flag=True, help="All open claims.")
@click.option("--dry-run", is_flag=True, help="Say what would be released; change nothing.")
@common.common
def release(
    name: str, schema: str | None, work_type: str | None, worker: str | None, row_id: str | None, expired: bool,
    everything: bool, dry_run: bool, database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Take open claims away from their workers. Their late writes are refused, and no attempt is charged."""
    from leasehold.claims import report

    which = report.Filter(work_type=work_type, worker=worker, id=row_id, expired=expired)
    return bulk(name, schema, which, everything, dry_run, database, home, as_json, "release", "released")


@claims.command()
@named
@click.option("--work-type", metavar="TYPE", help="Only this kind of work.")
@click.option("--worker", metavar="ID", help="Only what failed under this worker.")
@click.option("--id", "row_id", metavar="ID", help="Only this row.")
@click.option("--all", "everything", is_flag=True, help="All that failed for good.")
@click.option("--dry-run", is_flag=True, help="Say what would be freed; change nothing.")
@common.common
def retry(
    name: str, schema: str | None, work_type: str | None, worker: str | None, row_id: str | None, everything: bool,
    dry_run: bool, database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Free what has failed for good, with all its attempts again."""
    from leasehold.claims import report

    which = report.Filter(work_type=work_type, worker=worker, id=row_id)
    return bulk(name, schema, which, everything, dry_run, database, home, as_json, "retry", "freed")


@claims.command()
@named
@click.option("--yes", is_flag=True, help="Do it; without it only what would go is said.")
@common.common
def uninstall(
    name: str, schema: str | None, yes: bool, database: str | None, home: str | None, as_json: bool
) -> int:  # fmt: skip
    """Remove the claim table, with all claims and results in it, and its functions. Your table is not touched."""
    from leasehold.claims import registry, report

    with opened(database, home) as session:
        found = registry.find(session, name, schema)
        rows = report.count(session, found, report.Filter())
        if yes:
            report.remove(session, found)
    if as_json:
        emit("complete", table=found.described, claims=rows, removed=yes)
    else:
        say(f"{'removed' if yes else 'would remove'} the claims of {found.described}: {counted(rows, 'row')}")
        if not yes:
            note(f"to do it: leasehold claims uninstall --name {name} --yes")
    return 0


def bulk(
    name: str, schema: str | None, which: Any, everything: bool, dry_run: bool, database: str | None,
    home: str | None, as_json: bool, verb: str, done: str,
) -> int:  # fmt: skip
    """Release or retry what matches, or only say what that is."""
    from leasehold.claims import registry, report

    if which.narrows == everything:
        wrong = "--all and a filter contradict" if everything else f"Say what to {verb}: a filter, or --all"
        raise UsageError(f"{wrong}.", remedy=SEE_FIRST[verb].format(name=name))
    state = "held" if verb == "release" else "failed"
    with opened(database, home) as session:
        found = registry.find(session, name, schema)
        preview = report.listed(session, found, which, state, limit=SHOWN) if dry_run else []
        if dry_run:
            n = report.count(session, found, which, state)
        else:
            n = (report.release if verb == "release" else report.retry)(session, found, which)
    if as_json:
        emit("complete", table=found.described, dry_run=dry_run, **{done: n}, claims=[asdict(one) for one in preview])
        return 0
    say(f"{f'would be {done}' if dry_run else done}: {counted(n, 'claim')}")
    for one in preview:
        say(f"  {claim_line(one)}")
    return 0


@contextmanager
def opened(database: str | None, home: str | None) -> Iterator[Any]:
    """A session on the database; our own schema is not needed there."""
    from leasehold.db.session import Session

    with Session(common.settings(database, home).target, application_name="leasehold claims") as session:
        try:
            yield session
        except PermissionDenied as error:
            error.remedy = OWNERS
            raise


def status_lines(found: Any, progress: list[Any], holders: list[Any]) -> list[str]:
    said = []
    for one in progress:
        eta = f", {duration(one.eta_s)} left" if one.eta_s else ""
        said.append(f"{one.work_type}: {one.done:,} done, {one.failed:,} failed, {one.held:,} held, "
                    f"{one.waiting:,} waiting; {one.per_minute:,.1f} a minute{eta}")  # fmt: skip
        for holder in holders:
            if holder.work_type == one.work_type:
                until = (f"the first expires in {duration(holder.first_expires_in_s)}" if holder.first_expires_in_s > 0
                         else "EXPIRED, the next claim reaps them")  # fmt: skip
                said.append(f"  {holder.worker}: holds {holder.claims:,} since {duration(holder.held_s)}; {until}")
    return said or [f"nothing of {found.described} was claimed yet"]


def claim_line(one: Any) -> str:
    when = f", again from {one.retry_at:%Y-%m-%d %H:%M:%S}" if one.retry_at else ""
    until = f" until {one.expires_at:%Y-%m-%d %H:%M:%S}" if one.status == "claimed" else ""
    why = f": {' '.join(one.last_error.split())}" if one.last_error else ""
    row = one.id if one.id and one.id.isprintable() and " " not in one.id else repr(one.id)
    return f"{row} {one.work_type}: {one.status} by {one.worker}{until}, attempt {one.attempt}{when}{why}"


def duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
