"""`leasehold limit …`: how many seats a resource has, for all workers of all hosts together."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common, pausing
from leasehold.cli.common import counted, emit, note, say
from leasehold.errors import NotFound

KEY = click.argument("key", metavar="KEY")


@click.group()
def limit() -> None:
    """Limits: how many may use a resource at once, wherever they run."""


@limit.command("list")
@common.common
def listed(database: str | None, home: str | None, as_json: bool) -> int:
    """Every resource: seats, how many are taken, who waits, whether it is paused."""
    from leasehold.kernel import seats

    with common.open_session(common.settings(database, home)) as session:
        found, held_back = seats.resources(session), pausing.paused(session, "limit")
    if as_json:
        emit("complete", limits=[{**asdict(one), "paused": _plain(held_back.get(one.key))} for one in found])
        return 0
    for one in found:
        say(f"{line(one)}{pausing.told(held_back.get(one.key))}")
    if not found:
        say("no limits and no locks yet: leasehold limit set kind:embed 4")
    return 0


@limit.command("set")
@KEY
@click.argument("seats_wanted", type=click.IntRange(0, 10_000), metavar="N")
@click.option("--per", type=click.Choice(["page", "step"]), help="What a seat covers [step for kind:, else page].")
@common.common
def set_(key: str, seats_wanted: int, per: str | None, database: str | None, home: str | None, as_json: bool) -> int:
    """Let N at a time use KEY: kind:embed is all steps of that kind together. Workers heed it with their next claim.

    A larger number counts at once, a smaller one as seats come back: nothing that runs is stopped.
    """
    from leasehold.kernel import pauses, seats

    with common.open_session(common.settings(database, home), write=True) as session:
        before, taken = seats.set_limit(session, key, seats_wanted, per=per)
        (now,) = seats.resources(session, key)
        kinds = [one.kind for one in pauses.kinds(session)]
    if as_json:
        emit("complete", key=now.key, seats=now.seats, before=before, per=now.per, taken=taken)
    else:
        was = "" if before in (None, now.seats) else f" (it had {before})"
        say(f"{line(now)}{was}")
    name = now.key.partition(":")[2]
    if now.key.startswith("kind:") and name not in kinds:
        note(f"no workflow has steps of kind '{name}' yet; there are: {', '.join(kinds) or 'none'}")
    return 0


@limit.command("pause")
@KEY
@pausing.pause_options
@common.common
def pause(
    key: str, for_: str | None, until: str | None, why: str, database: str | None, home: str | None, as_json: bool
) -> int:
    """Let nobody take a seat of KEY until a time or until it is resumed."""
    from leasehold.kernel.keys import canonical

    with common.open_session(common.settings(database, home)) as session:
        return pausing.pause(session, "limit", canonical(key), for_, until, why, as_json=as_json)


@limit.command("resume")
@KEY
@common.common
def resume(key: str, database: str | None, home: str | None, as_json: bool) -> int:
    """End the pause of KEY."""
    with common.open_session(common.settings(database, home)) as session:
        known = find(session, key)
        return pausing.resume(session, "limit", known.key, as_json=as_json)


@limit.command("remove")
@KEY
@common.common
def remove(key: str, database: str | None, home: str | None, as_json: bool) -> int:
    """Forget KEY: its kind has no limit any more. Refused while work stands behind a lock."""
    from leasehold.kernel import seats

    with common.open_session(common.settings(database, home)) as session:
        known = find(session, key)
        seats.remove_limit(session, key)
    if as_json:
        emit("complete", key=known.key, removed=True)
    else:
        say(f"{known.key} is no longer limited")
    return 0


def find(session: Any, key: str) -> Any:
    """The resource of that key.

    Raises:
        NotFound: nobody has used or set it yet.
    """
    from difflib import get_close_matches

    from leasehold.kernel import seats

    if found := seats.resources(session, key):
        return found[0]
    near = get_close_matches(key, [one.key for one in seats.resources(session)], n=1)
    raise NotFound(f"There is no limit or lock {key}.{f' Did you mean {near[0]}?' if near else ''}",
                   remedy="Run `leasehold limit list`.")  # fmt: skip


def line(one: Any) -> str:
    waits = f", {counted(one.waiting, 'holder')} waiting" if one.waiting else ""
    return f"{one.key}: {one.taken:,} of {counted(one.seats, 'seat')} taken, one per {one.per}{waits}"


def _plain(pause: Any) -> dict[str, Any] | None:
    return None if pause is None else asdict(pause)
