"""`leasehold kind …`: kinds of step, and holding one back."""

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
    """Every kind that a workflow names, how many of its steps stand where, and whether it is paused."""
    from leasehold.kernel import pauses

    with common.open_session(common.settings(database, home)) as session:
        found, held_back = pauses.kinds(session), pausing.paused(session, "kind")
    if as_json:
        emit("complete", kinds=[{**asdict(one), "paused": _plain(held_back.get(one.kind))} for one in found])
        return 0
    for one in found:
        say(f"{one.kind}: {one.ready:,} ready, {one.delayed:,} delayed, {one.leased:,} leased"
            f"{pausing.told(held_back.get(one.kind))}")  # fmt: skip
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
    """End the pause of a kind."""
    with common.open_session(common.settings(database, home)) as session:
        _known(session, name)
        return pausing.resume(session, "kind", name, as_json=as_json)


def _known(session: Any, name: str) -> None:
    from leasehold.kernel import pauses

    names = [one.kind for one in pauses.kinds(session)]
    if name not in names:
        raise NotFound(f"There is no kind '{name}'; there are: {', '.join(names) or 'none yet'}.",
                       remedy="Run `leasehold kind list`.")  # fmt: skip


def _plain(pause: Any) -> dict[str, Any] | None:
    return None if pause is None else asdict(pause)
