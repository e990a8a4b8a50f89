"""`leasehold step …`: single steps, and the dead letters: steps that failed and are kept to be tried again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, say
from leasehold.errors import NotFound, UsageError


@click.group()
def step() -> None:
    """Single steps, written 17.3: the run and the place in its workflow."""


@step.command("show")
@click.argument("name", metavar="STEP")
@common.common
def show(name: str, database: str | None, home: str | None, as_json: bool) -> int:
    """One step: where it stands and why, and every end that it has had."""
    from leasehold.kernel import history, runs
    from leasehold.kernel import why as reasons

    step_id = _id(name)
    with common.open_session(common.settings(database, home)) as session:
        facts = reasons.step_facts(session, step_id)
        if facts is None:
            raise NotFound(f"There is no step {name}.{history.farewell(session, step_id >> 10)}",
                           remedy="Run `leasehold run show RUN` for the steps of a run.")  # fmt: skip
        ends = [one for one in runs.outcomes(session, step_id >> 10) if one.step_id == step_id]
    if as_json:
        emit("complete", why=[reasons.sentence(facts)], steps=[asdict(facts)], outcomes=[asdict(one) for one in ends])
        return 0
    say(reasons.sentence(facts))
    for end in ends:
        reason = f": {end.reason}" if end.reason else ""
        say(f"  {end.at.astimezone():%Y-%m-%d %H:%M:%S}  attempt {end.attempt}: {end.ended}{reason}")
        for line in (end.detail or "").splitlines():
            say(f"    {line}")
    return 0


@step.command("requeue")
@click.argument("names", nargs=-1, metavar="[STEP...]")
@click.option("--reason", multiple=True, metavar="REASON", help="Steps that failed for this reason.")
@click.option("--fingerprint", multiple=True, metavar="F", help="Steps that failed alike (see group show).")
@click.option("--kind", metavar="KIND", help="Steps of this kind only.")
@click.option("--group", "group_id", type=click.IntRange(1, 2**53), metavar="GROUP", help="Steps of this group only.")
@click.option("--all", "everything", is_flag=True, help="Every step that failed.")
@click.option("--dry-run", is_flag=True, help="Only say what it would requeue, and how many.")
@common.common
def requeue(
    names: tuple[str, ...],
    reason: tuple[str, ...],
    fingerprint: tuple[str, ...],
    kind: str | None,
    group_id: int | None,
    everything: bool,
    dry_run: bool,
    database: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Try failed steps again, in a new round of their groups; what succeeded in their runs is not done again.

    Name the steps, or say which: filters narrow each other.
    """
    filters = bool(reason or fingerprint or kind or group_id)
    if bool(names) + everything + filters != 1:
        raise UsageError(
            "Say which steps to requeue.", remedy="Name them, or give filters, or --all: leasehold step requeue --all."
        )
    from leasehold.kernel import dead_letters

    with common.open_session(common.settings(database, home)) as session:
        if names:
            found = dead_letters.these(session, [_id(name) for name in names])
        else:
            dead_letters.check_known(session, reason, fingerprint)
            found = dead_letters.find(
                session, reasons=reason or None, fingerprints=fingerprint or None, kind=kind, group_id=group_id
            )
        n = dead_letters.runs_of(found) if dry_run else dead_letters.requeue(session, found)
    if as_json:
        emit("complete", dry_run=dry_run, reopened=n, groups=[_body(one) for one in found])
        return 0
    for one in found if dry_run else ():
        say(f"  group {one.group_id}: {counted(one.steps, 'step')} of {one.kind}: {one.reason} [{one.fingerprint}]")
    say(f"{'would reopen' if dry_run else 'reopened'} {counted(n, 'run')} at what failed in them")
    return 0


def _body(one: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "runs"}


def _id(name: str) -> int:
    from leasehold.kernel import steps

    try:
        return steps.step_id_of(name)
    except ValueError:
        raise UsageError(f"{name!r} is no step.", remedy="Steps are written 17.3: the run, and its place.") from None
