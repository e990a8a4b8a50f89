"""`leasehold group …`: groups of runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common, pausing
from leasehold.cli.common import counted, emit, say
from leasehold.errors import NotFound, UsageError

GROUP = click.argument("group_id", type=click.IntRange(min=1), metavar="GROUP")


@click.group()
def group() -> None:
    """Groups of runs: what was submitted together."""


@group.command("list")
@click.option("--all", "ended", is_flag=True, help="Those that have ended too.")
@click.option("--source", metavar="NAME", help="Those of one source only.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Newest first.")
@common.common
def listed(ended: bool, source: str | None, limit: int, database: str | None, home: str | None, as_json: bool) -> int:
    """The groups that are open, newest first."""
    from leasehold.kernel import groups

    with common.open_session(common.settings(database, home)) as session:
        found = groups.states(session, groups.newest(session, ended=ended, source=source, limit=limit))[::-1]
        held_back = pausing.paused(session, "group")
    if as_json:
        emit("complete", groups=[body(one, held_back.get(str(one.group_id))) for one in found])
        return 0
    for one in found:
        say(f"{line(one)}{pausing.told(held_back.get(str(one.group_id)))}")
    if not found:
        say("no groups" if ended else "no open groups")
    return 0


@group.command("show")
@GROUP
@common.common
def show(group_id: int, database: str | None, home: str | None, as_json: bool) -> int:
    """One group: where it stands, where its steps stand, and what failed in it, by reason and fingerprint."""
    from leasehold.kernel import checks, groups, history, steps

    with common.open_session(common.settings(database, home)) as session:
        state, gone = _known(session, group_id), history.gone(session, group_id)
        pause = pausing.paused(session, "group").get(str(group_id))
        counts, failed = checks.step_counts(session, [group_id]), groups.failures(session, [group_id])
    if as_json:
        emit("complete", group=body(state, pause), steps=counts, failures=[asdict(one) for one in failed], gone=gone)
        return 0
    say(f"{line(state)}{pausing.told(pause)}")
    if gone:
        say(f"  {counted(gone, 'run')} of it left by a prune: what is below is of the others")
    for kind, where in counts.items():
        say(f"  {kind}: {', '.join(f'{n:,} {stands}' for stands, n in sorted(where.items()))}")
    for one in failed:
        detail = f" ({one.detail.splitlines()[-1][:200]})" if one.detail.strip() else ""
        say(f"  {counted(one.runs, 'run')} failed at {one.kind}: {one.reason} [{one.fingerprint}], as step "
            f"{steps.step_name(one.step_id)}{detail}")  # fmt: skip
    return 0


@group.command("why")
@GROUP
@common.common
def why_(group_id: int, database: str | None, home: str | None, as_json: bool) -> int:
    """Say in one sentence how the group ended, or what its runs wait for."""
    from leasehold.cli import why

    with common.open_session(common.settings(database, home)) as session:
        return why.answer(*why.find_group(session, group_id), as_json=as_json)


@group.command("seal")
@GROUP
@common.common
def seal(group_id: int, database: str | None, home: str | None, as_json: bool) -> int:
    """Say that nothing more will be added, so that the group completes when its runs have ended."""
    from leasehold.kernel import groups

    with common.open_session(common.settings(database, home)) as session:
        before = _known(session, group_id)
        groups.seal(session, group_id)
        state = _known(session, group_id)
    if as_json:
        emit("complete", group_id=group_id, sealed=not before.sealed, completed=state.completed)
    elif before.sealed:
        say(f"group {group_id} was sealed already")
    else:
        left = state.added - state.ended
        rest = f"it completes when {counted(left, 'more run')} have ended" if left else f"it {stands(state)}"
        say(f"group {group_id} is sealed: {rest}")
    return 0


@group.command("retry")
@GROUP
@click.option("--all", "everything", is_flag=True, help="Every run that failed.")
@click.option("--reason", multiple=True, metavar="REASON", help="Runs that failed for this reason.")
@click.option("--fingerprint", multiple=True, metavar="F", help="Runs that failed alike (see group show).")
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@common.common
def retry(
    group_id: int,
    everything: bool,
    reason: tuple[str, ...],
    fingerprint: tuple[str, ...],
    dry_run: bool,
    database: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Open a new round for runs that failed; what succeeded in them is not done again."""
    from leasehold.kernel import groups

    if everything == bool(reason or fingerprint):
        raise UsageError("Say which of its failed runs to retry.", remedy="Give --reason, --fingerprint or --all.")
    with common.open_session(common.settings(database, home)) as session:
        _known(session, group_id)
        failed = groups.failures(session, [group_id])
        groups.check_known(failed, reason, fingerprint)
        if dry_run:
            meant = [one for one in failed if (not reason or one.reason in reason)]
            n = sum(one.runs for one in meant if not fingerprint or one.fingerprint in fingerprint)
        else:
            n = groups.retry(session, group_id, reasons=reason or None, fingerprints=fingerprint or None)
    if as_json:
        emit("complete", group_id=group_id, reopened=n, dry_run=dry_run)
    else:
        say(f"group {group_id}: {'would reopen' if dry_run else 'reopened'} {counted(n, 'run')}")
    return 0


@group.command("cancel")
@GROUP
@click.option("--dry-run", is_flag=True, help="Only say how many runs it would end.")
@common.common
def cancel(group_id: int, dry_run: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """End every run of a group that has not ended. What runs is stopped within a heartbeat, on any host."""
    from leasehold.kernel import groups

    with common.open_session(common.settings(database, home)) as session:
        state = _known(session, group_id)
        left = 0 if state.completed else state.added - state.ended
        if not (dry_run or state.completed):
            groups.cancel(session, group_id)
            while groups.sweep_cancelled(session):
                pass
            groups.fold(session, group_id)
            state = _known(session, group_id)
    if as_json:
        emit("complete", group_id=group_id, runs=left, dry_run=dry_run, completed=state.completed)
    elif not left:
        say(f"group {group_id}: nothing to cancel, all its runs have ended")
    elif dry_run:
        say(f"group {group_id}: would end {counted(left, 'run')}")
    else:
        rest = "" if state.completed else "; what is being claimed or finished right now follows within seconds"
        say(f"group {group_id}: cancelled, {counted(left, 'run')} ended{rest}")
    return 0


@group.command("set")
@GROUP
@click.option("--weight", type=int, metavar="N", help="Its part of the workers while others wait too.")
@click.option("--priority", type=int, metavar="N", help="Higher first; lower ones are slowed down, not starved.")
@common.common
def set_(
    group_id: int, weight: int | None, priority: int | None, database: str | None, home: str | None, as_json: bool
) -> int:
    """Give a group that waits another weight or priority. Workers heed it at their next look."""
    from leasehold.kernel import groups

    if weight is None and priority is None:
        raise UsageError("Say what to set.", remedy="Give --weight or --priority.")
    with common.open_session(common.settings(database, home)) as session:
        groups.weigh(session, group_id, weight=weight, priority=priority)
    if as_json:
        emit("complete", group_id=group_id, weight=weight, priority=priority)
    else:
        given = {"weight": weight, "priority": priority}
        say(f"group {group_id}: {', '.join(f'{name} {n}' for name, n in given.items() if n is not None)}")
    return 0


@group.command("pause")
@GROUP
@pausing.pause_options
@common.common
def pause(
    group_id: int, for_: str | None, until: str | None, why: str, database: str | None, home: str | None, as_json: bool
) -> int:
    """Claim no more steps of a group until a time or until it is resumed."""
    with common.open_session(common.settings(database, home)) as session:
        return pausing.pause(session, "group", str(group_id), for_, until, why, as_json=as_json)


@group.command("resume")
@GROUP
@common.common
def resume(group_id: int, database: str | None, home: str | None, as_json: bool) -> int:
    """End the pause of a group."""
    with common.open_session(common.settings(database, home)) as session:
        _known(session, group_id)
        return pausing.resume(session, "group", str(group_id), as_json=as_json)


@group.command("bound")
@GROUP
@pausing.bound_options
@common.common
def bound(
    group_id: int, runs_max: int | None, unbounded: bool, database: str | None, home: str | None, as_json: bool
) -> int:
    """Bound how many runs of a group may be open at once; who adds more is told to wait."""
    with common.open_session(common.settings(database, home)) as session:
        return pausing.bound(session, "group", str(group_id), runs_max, unbounded=unbounded, as_json=as_json)


def _known(session: Any, group_id: int) -> Any:
    from leasehold.kernel import groups

    if (found := groups.state(session, group_id)) is None:
        raise NotFound(f"There is no group {group_id}.", remedy="Run `leasehold group list`.")
    return found


def body(state: Any, pause: Any) -> dict[str, Any]:
    return {**asdict(state), "state": stands(state), "paused": asdict(pause) if pause else None}


def stands(state: Any) -> str:
    """open (more may come), sealed, cancelling, or how its newest round ended."""
    if state.completed:
        return str(state.outcome or "completed")
    return "cancelling" if state.cancelling else "sealed" if state.sealed else "open"


def line(state: Any) -> str:
    again = f", round {state.round}" if state.round > 1 else ""
    failed = f", {state.failed:,} failed" if state.failed else ""
    return (f"group {state.group_id}: {stands(state)}{again}: {state.ended:,} of {state.added:,} runs ended{failed}"
            f"{f': {state.label}' if state.label else ''}")  # fmt: skip
