"""`leasehold group …`: groups of runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common, pausing
from leasehold.cli.common import emit, say
from leasehold.errors import NotFound, UsageError

GROUP = click.argument("group_id", type=click.IntRange(min=1), metavar="GROUP")


@click.group()
def group() -> None:
    """Groups of runs: what was submitted together."""


@group.command("list")
@click.option("--all", "ended", is_flag=True, help="Those that have ended too.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Newest first.")
@common.common
def listed(ended: bool, limit: int, database: str | None, home: str | None, as_json: bool) -> int:
    """The groups that are open, newest first."""
    from leasehold.kernel import groups

    with common.open_session(common.settings(database, home)) as session:
        found = groups.states(session, groups.newest(session, ended=ended, limit=limit))[::-1]
        held_back = pausing.paused(session, "group")
    if as_json:
        emit("complete", groups=[body(one, held_back.get(str(one.group_id))) for one in found])
        return 0
    for one in found:
        say(f"{line(one)}{pausing.told(held_back.get(str(one.group_id)))}")
    if not found:
        say("no groups" if ended else "no open groups")
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
