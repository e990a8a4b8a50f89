"""`leasehold hook …`: calls of hooks: how each went, and once more for those that failed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, say
from leasehold.errors import NotFound, UsageError

OF_GROUP = click.option("--group", "group_id", type=click.IntRange(1, 2**53), metavar="GROUP", help="Of this group.")
OF_HOOK = click.option("--hook", "name", metavar="NAME", help="Of this hook.")
SHOWN = 100


@click.group()
def hook() -> None:
    """Hooks: what a workflow wants called when something happens. A call that failed is kept until it is retried."""


@hook.command("list")
@OF_GROUP
@OF_HOOK
@click.option(
    "--state", multiple=True, metavar="STATE", help="In this state: ready, delayed, leased, succeeded, failed…"
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=SHOWN, show_default=True, metavar="N",
              help="At most so many, the newest.")  # fmt: skip
@common.common
def list_(
    group_id: int | None, name: str | None, state: tuple[str, ...], limit: int, database: str | None, home: str | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Calls, oldest first: where each stands, its attempts, and what the last one ended with."""
    from leasehold.kernel import hooks

    if unknown := [one for one in state if one not in hooks.STATES]:
        raise UsageError(f"A call is never '{unknown[0]}'.", remedy=f"Give one of {', '.join(hooks.STATES)}.")
    with common.open_session(common.settings(database, home)) as session:
        groups_of = None if group_id is None else [_known(session, group_id)]
        found = hooks.calls(session, group_ids=groups_of, hook=name, states=state or None, limit=limit)[::-1]
        counts = hooks.counts(session, groups_of)
    shown = {one: states for one, states in counts.items() if name in (None, one)}
    if as_json:
        emit("complete", hooks=shown, calls=[body(call) for call in found])
        return 0
    for call in found:
        say(line(call))
    if len(found) == limit:
        say(f"the newest {limit:,}; --limit shows more")
    for one, states in shown.items():
        say(f"{one}: {', '.join(f'{n:,} {where}' for where, n in sorted(states.items()))}")
    if not shown:
        say("no hook was called")
    return 0


@hook.command("retry")
@click.argument("calls", nargs=-1, metavar="[CALL]...")
@OF_GROUP
@OF_HOOK
@click.option("--all", "everything", is_flag=True, help="Every call that failed.")
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@common.common
def retry(
    calls: tuple[str, ...], group_id: int | None, name: str | None, everything: bool, dry_run: bool,
    database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Make calls that failed once more, with all their attempts and under their old keys: some, or all that meet the
    filters."""
    from leasehold.kernel import groups, hooks

    filtered = bool(group_id or name)
    if bool(calls) + everything + filtered != 1:
        raise UsageError("Say which calls to make again.", remedy="Name them, or give --hook or --group, or --all.")
    steps = [_step(one) for one in calls] or None
    with common.open_session(common.settings(database, home)) as session:
        groups_of = None if group_id is None else [_known(session, group_id)]
        found = hooks.calls(session, group_ids=groups_of, hook=name, step_ids=steps,
                            states=None if steps else ["failed"], limit=100_000)  # fmt: skip
        _check(found, steps or [])
        chosen = [one.step_id for one in found]
        n = len(chosen) if dry_run else hooks.retry(session, chosen)
        if n and not dry_run:
            groups.wake(session)
    if as_json:
        emit("complete", calls=n, dry_run=dry_run)
    else:
        say(f"{counted(n, 'call')} {'would be' if dry_run else 'will be'} made again")
    return 0


def _step(name: str) -> int:
    from leasehold.kernel.steps import step_id_of

    try:
        return step_id_of(name)
    except ValueError:
        raise UsageError(
            f"'{name}' names no call.", remedy="Run `leasehold hook list`; a call is written 17.0."
        ) from None


def _check(found: list[Any], steps: list[int]) -> None:
    from leasehold.kernel.steps import step_name

    there = {one.step_id: one for one in found}
    for step in steps:
        if step not in there:
            raise NotFound(f"There is no call {step_name(step)}.", remedy="Run `leasehold hook list`.")
        if (state := there[step].state) != "failed":
            raise UsageError(f"Call {step_name(step)} is {state}; only what has failed can be retried.",
                             remedy="Run `leasehold hook list --state failed`.")  # fmt: skip


def _known(session: Any, group_id: int) -> int:
    from leasehold.kernel import groups

    if groups.state(session, group_id) is None:
        raise NotFound(f"There is no group {group_id}.", remedy="Run `leasehold group list`.")
    return group_id


def body(one: Any) -> dict[str, Any]:
    times = {
        name: None if at is None else at.isoformat() for name in ("made_at", "ended_at") for at in [getattr(one, name)]
    }
    return {**asdict(one), "name": one.name, **times}


def line(one: Any) -> str:
    of = f"run {one.run_id} of group {one.group_id}" if one.run_id else f"group {one.group_id}"
    attempts = f", {counted(one.attempts, 'attempt')}" if one.attempts else ""
    due = f", again in {max(0.0, one.ready_in_s):.0f} s" if one.ready_in_s is not None else ""
    at = f" at {one.ended_at.astimezone():%Y-%m-%d %H:%M:%S}" if one.ended_at else ""
    last = one.detail.strip().splitlines()[-1][:200] if one.detail and one.detail.strip() else ""
    said = (
        last if one.reason and last.startswith(one.reason) else ": ".join(part for part in (one.reason, last) if part)
    )
    why = f": {said}" if said else ""
    return f"{one.name} {one.hook} for {one.event or 'an event'} of {of}: {one.state}{attempts}{at}{due}{why}"
