"""`leasehold run …`: single runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, parse_time, say

RUNS = click.argument("run_ids", nargs=-1, required=True, type=click.IntRange(1, 2**53), metavar="RUN...")

STATES = ("open", "succeeded", "failed", "cancelled")


@click.group()
def run() -> None:
    """Single runs: one item's way through a workflow. `leasehold group show` names those that failed."""


@run.command("show")
@click.argument("run_id", type=click.IntRange(1, 2**53), metavar="RUN")
@common.common
def show(run_id: int, database: str | None, home: str | None, as_json: bool) -> int:
    """One run: its item, where each of its steps stands and why, every end that a step has had, and what steps gave."""
    from leasehold.kernel import runs, steps
    from leasehold.kernel import why as reasons
    from leasehold.workflows import looking

    with common.open_session(common.settings(database, home)) as session:
        (facts,) = runs.facts(session, [run_id])
        found = [reasons.step_facts(session, step_id) for step_id, _, _ in reasons.run_steps(session, run_id)]
        ends = runs.outcomes(session, run_id)
        given, saved = looking.results(session, run_id), looking.saved(session, run_id)
    standing = [one for one in found if one is not None]
    if as_json:
        emit("complete", run=asdict(facts), why=[reasons.sentence(one) for one in standing],
             steps=[asdict(one) for one in standing], outcomes=[asdict(one) for one in ends],
             results=[asdict(one) for one in given], saved=[asdict(one) for one in saved])  # fmt: skip
        return 0
    again = f", opened again {counted(facts.retries, 'time')}" if facts.retries else ""
    label = f": {facts.label}" if facts.label else ""
    say(f"run {run_id} of group {facts.group_id}{label}: {facts.ended or 'open'}{again}")
    say(f"  item: {short(facts.item)}")
    for one in standing:
        say(f"  {reasons.sentence(one)}")
    for end in ends:
        reason = f": {end.reason}" if end.reason else ""
        say(f"  {end.at.astimezone():%Y-%m-%d %H:%M:%S}  {steps.step_name(end.step_id)} {end.kind}, "
            f"attempt {end.attempt}: {end.ended}{reason}")  # fmt: skip
    for kept in saved:
        say(f"  {steps.step_name(kept.step_id)} {kept.sentence}")
    for gave in given:
        say(f"  {steps.step_name(gave.step_id)} gave {short(gave.result)}")
    return 0


@run.command("list")
@click.option("--group", "group_id", type=click.IntRange(1, 2**53), metavar="GROUP", help="Runs of one group only.")
@click.option("--state", type=click.Choice(STATES), help="Only runs that are open, or that ended so.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Newest first.")
@common.common
def listed(
    group_id: int | None, state: str | None, limit: int, database: str | None, home: str | None, as_json: bool
) -> int:
    """The newest runs: of one group or of all, in any state or in one."""
    from leasehold.kernel import runs

    with common.open_session(common.settings(database, home)) as session:
        found = runs.newest(session, group_id=group_id, state=state, limit=limit)
    if as_json:
        emit("complete", runs=[asdict(one) for one in found])
        return 0
    for one in found:
        label = f" ({one.label})" if one.label else ""
        say(f"run {one.run_id} of group {one.group_id}{label}: {one.ended or 'open'}: {short(one.item)}")
    if not found:
        say("no such runs" if group_id or state else "no runs yet")
    return 0


@run.command("why")
@click.argument("run_id", type=click.IntRange(1, 2**53), metavar="RUN")
@common.common
def why_(run_id: int, database: str | None, home: str | None, as_json: bool) -> int:
    """Say in one sentence where the run stands: its first step that has not succeeded, or its last one."""
    from leasehold.cli import why
    from leasehold.kernel import runs

    with common.open_session(common.settings(database, home)) as session:
        runs.facts(session, [run_id])
        return why.answer([], why.current(session, run_id), as_json=as_json)


@run.command("cancel")
@RUNS
@click.option("--dry-run", is_flag=True, help="Only say how many it would end.")
@common.common
def cancel(run_ids: tuple[int, ...], dry_run: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """End runs that have not ended. What runs is stopped within a heartbeat, on any host; its late word is refused."""
    from leasehold.kernel import runs

    with common.open_session(common.settings(database, home)) as session:
        still_open = [one.run_id for one in runs.facts(session, run_ids) if one.ended is None]
        n = len(still_open) if dry_run else runs.cancel(session, run_ids)
    if as_json:
        emit("complete", runs=list(run_ids), cancelled=n, dry_run=dry_run)
    else:
        said = f"{counted(n, 'run')} {'would be ' if dry_run else ''}cancelled"
        say(f"{said}; {counted(len(run_ids) - n, 'run')} had ended" if n < len(run_ids) else said)
    return 0


@run.command("retry")
@RUNS
@common.common
def retry(run_ids: tuple[int, ...], database: str | None, home: str | None, as_json: bool) -> int:
    """Open failed runs again, in a new round of their groups; what succeeded in them is not done again."""
    from leasehold.kernel import runs

    with common.open_session(common.settings(database, home)) as session:
        n = runs.retry(session, run_ids)
    if as_json:
        emit("complete", runs=list(run_ids), reopened=n)
    else:
        say(f"reopened {counted(n, 'run')}")
    return 0


@run.command("snooze")
@RUNS
@click.option("--for", "for_", required=True, metavar="TIME", help="How long: 90, 90s, 5m, 1h.")
@click.option("--why", default="", metavar="TEXT", help="The reason; `leasehold why` repeats it.")
@common.common
def snooze(run_ids: tuple[int, ...], for_: str, why: str, database: str | None, home: str | None, as_json: bool) -> int:
    """Let what waits in these runs wait until then. What runs already goes on; it is not an attempt."""
    from leasehold.kernel import runs

    with common.open_session(common.settings(database, home)) as session:
        n = runs.put_off(session, run_ids, parse_time(for_, "--for"), why=why)
    if as_json:
        emit("complete", runs=list(run_ids), steps=n)
    else:
        say(f"{counted(n, 'step')} put off" if n else "nothing to put off: no step of theirs waits for a worker")
    return 0


def short(item: Any) -> str:
    import json

    text = json.dumps(item, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:199]}…"
