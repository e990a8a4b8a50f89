"""`leasehold source …`: sources as the workers see them, and holding one back."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common, pausing
from leasehold.cli.common import emit, say, shown
from leasehold.errors import NotFound, UsageError


@click.group()
def source() -> None:
    """Sources: pausing the work of one. A source is named by its folder, or as `leasehold source list` writes it."""


@source.command("list")
@common.common
def listed(database: str | None, home: str | None, as_json: bool) -> int:
    """Every source by name, what it holds, and whether it is paused."""
    from leasehold.documents import reports

    with common.open_session(common.settings(database, home)) as session:
        found, held_back = reports.source_states(session), pausing.paused(session, "source")
    if as_json:
        emit("complete", sources=[{"name": one.name, **asdict(one),
                                   "paused": asdict(held_back[one.name]) if one.name in held_back else None}
                                  for one in found])  # fmt: skip
        return 0
    for one in found:
        counts = ", ".join(f"{n:,} {state}" for state, n in sorted(one.states.items())) or "nothing yet"
        say(f"{one.name}: {counts}{pausing.told(held_back.get(one.name))}")
    if not found:
        say("no sources yet: leasehold ingest PATH")
    return 0


@source.command("pause")
@click.argument("name", metavar="SOURCE")
@pausing.pause_options
@common.common
def pause(
    name: str, for_: str | None, until: str | None, why: str, database: str | None, home: str | None, as_json: bool
) -> int:
    """Claim no more steps of a source's groups, also of those still to come, until a time or until it is resumed."""
    with common.open_session(common.settings(database, home)) as session:
        return pausing.pause(session, "source", _named(session, name), for_, until, why, as_json=as_json)


@source.command("resume")
@click.argument("name", metavar="SOURCE")
@common.common
def resume(name: str, database: str | None, home: str | None, as_json: bool) -> int:
    """End the pause of a source."""
    with common.open_session(common.settings(database, home)) as session:
        return pausing.resume(session, "source", _named(session, name), as_json=as_json)


@source.command("bound")
@click.argument("name", metavar="SOURCE")
@pausing.bound_options
@common.common
def bound(
    name: str, runs_max: int | None, unbounded: bool, database: str | None, home: str | None, as_json: bool
) -> int:
    """Bound how many runs of a source may be open at once; an ingest then waits for room."""
    with common.open_session(common.settings(database, home)) as session:
        return pausing.bound(session, "source", _named(session, name), runs_max, unbounded=unbounded, as_json=as_json)


def _named(session: Any, given: str) -> str:
    """The one source that *given* means: its name, or its folder."""
    from leasehold.documents import reports
    from leasehold.kernel import groups

    known = reports.source_states(session)
    path = os.path.realpath(os.path.expanduser(given))
    found = [one.name for one in known if given in (one.name, one.uri) or path == one.file]
    if not found and groups.newest(session, ended=True, source=given, limit=1):
        return given  # groups that were opened under that name by a program of the user's own
    if not found:
        raise NotFound(f"There is no source '{given}'.", remedy="Run `leasehold source list`.")
    if len(found) > 1:
        raise UsageError(f"{shown(path)} is a source of several collections: {', '.join(found)}.",
                         remedy="Give one of these names.")  # fmt: skip
    return found[0]
