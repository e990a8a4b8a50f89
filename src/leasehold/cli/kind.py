"""`leasehold kind …`: kinds of step, holding one back, and their breakers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common, pausing
from leasehold.cli.common import emit, say
from leasehold.errors import NotFound


@click.group()
def kind() -> None:
    """Kinds of step: what waits, and pausing one."""


@kind.command("list")
@common.common
def listed(database: str | None, home: str | None, as_json: bool) -> int:
    """Every kind that a workflow names, how many of its steps stand where, and what holds it back."""
    from leasehold.kernel import breakers, holders, pauses

    with common.open_session(common.settings(database, home)) as session:
        found, held_back = pauses.kinds(session), pausing.paused(session, "kind")
        broken = breakers.current(session)
        workers = [one for one in holders.living(session) if one.kind == "worker" and not one.expired]
    served = {one.kind: sum(each.kinds is None or one.kind in each.kinds for each in workers) for one in found}
    if as_json:
        emit("complete", kinds=[{**asdict(one), "paused": _plain(held_back.get(one.kind)), "workers": served[one.kind],
                                 "breakers": [asdict(open_) for open_ in broken if open_.kind == one.kind]}
                                for one in found])  # fmt: skip
        return 0
    for one in found:
        nobody = "; no worker serves it" if one.ready and not served[one.kind] else ""
        say(f"{one.kind}: {one.ready:,} ready, {one.delayed:,} delayed, {one.leased:,} leased"
            f"{pausing.told(held_back.get(one.kind))}{nobody}")  # fmt: skip
        for open_ in broken:
            if open_.kind == one.kind:
                say(f"  {breaker_line(asdict(open_))}")
    if not found:
        say("no workflow is known yet")
    return 0


@kind.command("pause")
@click.argument("name", metavar="KIND")
@pausing.pause_options
@common.common
def pause(
    name: str, for_: str | None, until: str | None, why: str, database: str | None, home: str | None, as_json: bool
) -> int:
    """Claim no more steps of a kind, in any group, until a time or until it is resumed."""
    with common.open_session(common.settings(database, home)) as session:
        _known(session, name)
        return pausing.pause(session, "kind", name, for_, until, why, as_json=as_json)


@kind.command("resume")
@click.argument("name", metavar="KIND")
@common.common
def resume(name: str, database: str | None, home: str | None, as_json: bool) -> int:
    """End the pause of a kind, and close its breaker."""
    with common.open_session(common.settings(database, home)) as session:
        _known(session, name)
        return pausing.resume(session, "kind", name, as_json=as_json)


@kind.command("bound")
@click.argument("name", metavar="KIND")
@pausing.bound_options
@common.common
def bound(
    name: str, runs_max: int | None, unbounded: bool, database: str | None, home: str | None, as_json: bool
) -> int:
    """Bound how many runs whose workflow has this kind may be open at once; who adds more is told to wait."""
    with common.open_session(common.settings(database, home)) as session:
        _known(session, name)
        return pausing.bound(session, "kind", name, runs_max, unbounded=unbounded, as_json=as_json)


def breaker_line(breaker: dict[str, Any]) -> str:
    """What an open breaker says of itself."""
    of = f"kind {breaker['kind']}{f' at {key}' if (key := breaker['key']) else ''}"
    probe = f"step {step_name(breaker['probe_step'])} is tried now" if breaker["probe_step"] is not None else (
        f"one step is tried in {breaker['probe_s']:.0f} s"
    )  # fmt: skip
    return (f"the breaker of {of} is open: {breaker['streak']} errors in a row with '{breaker['reason']}'; {probe}; "
            f"leasehold kind resume {breaker['kind']}")  # fmt: skip


def step_name(step_id: int) -> str:
    from leasehold.kernel import steps

    return steps.step_name(step_id)


def _known(session: Any, name: str) -> None:
    from leasehold.kernel import pauses

    names = [one.kind for one in pauses.kinds(session)]
    if name not in names:
        raise NotFound(f"There is no kind '{name}'; there are: {', '.join(names) or 'none yet'}.",
                       remedy="Run `leasehold kind list`.")  # fmt: skip


def _plain(pause: Any) -> dict[str, Any] | None:
    return None if pause is None else asdict(pause)
