"""`leasehold lock …`: who has which seat, having one for the length of a command, and taking one away."""

from __future__ import annotations

import os
import signal
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common, limit, pausing
from leasehold.cli.common import counted, emit, note, parse_time, say
from leasehold.errors import NotFound, Refused, UsageError

KEY = click.argument("key", metavar="KEY")
LOOK_EVERY_S = 0.2


@click.group()
def lock() -> None:
    """Locks: who has a seat of what, since when, and whether it still lives."""


@lock.command("list")
@click.option("--all", "free", is_flag=True, help="Free ones too.")
@common.common
def listed(free: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """Every seat that is taken, and by whom."""
    from leasehold.kernel import seats

    with common.open_session(common.settings(database, home)) as session:
        resources, taken = seats.resources(session), seats.taken(session)
    shown = [one for one in resources if free or one.taken or one.waiting]
    if as_json:
        emit("complete", locks=[body(one, [seat for seat in taken if seat.key == one.key]) for one in shown])
        return 0
    for one in shown:
        say(limit.line(one))
        for seat in taken:
            if seat.key == one.key:
                say(f"  {has(seat)}")
    if not shown:
        say("nobody has a lock")
    return 0


@lock.command("why")
@KEY
@common.common
def why(key: str, database: str | None, home: str | None, as_json: bool) -> int:
    """Say who has KEY, who waits for it, what to do, and who broke it before."""
    from leasehold.kernel import seats

    with common.open_session(common.settings(database, home)) as session:
        one = limit.find(session, key)
        taken, line = seats.taken(session, key), seats.line(session, key)
        behind, paused = seats.steps_behind(session, key), pausing.paused(session, "limit").get(one.key)
        breaks = seats.breaks(session, key)
    said = [f"{limit.line(one)}{pausing.told(paused)}", *(has(seat) for seat in taken)]
    said += [f"{place}. in line: {one_waits(waiting)}" for place, waiting in enumerate(line, 1)]
    said += [f"{counted(behind, 'ready step')} behind it"] if behind else []
    said += [f"no heartbeat any more: leasehold lock break {one.key}"] if any(seat.expired for seat in taken) else []
    said += [was_broken(one) for one in breaks]
    if as_json:
        emit("complete", why=said, line=[asdict(waiting) for waiting in line], steps_behind=behind,
             breaks=[asdict(one) for one in breaks], **body(one, taken))  # fmt: skip
    else:
        for text in said:
            say(text)
    return 0


@lock.command("break")
@click.argument("key", metavar="[KEY]", required=False)
@click.option("--all", "every", is_flag=True, help="Every key's seats that nobody keeps any more.")
@click.option("--max-age", metavar="TIME", help="Spare who was heard within this time: 90s, 30m, 1h.")
@click.option("--force", is_flag=True, help="From a holder that lives, too. Its late writes are refused.")
@click.option("--reason", default="", metavar="TEXT", help="Kept with who did it.")
@common.common
def break_(
    key: str | None, every: bool, max_age: str | None, force: bool, reason: str, database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Take the seats of KEY away from holders whose heartbeat has stopped.

    How old a lock is does not matter, nor any pid: only when its holder was last heard. A lease that it serves goes
    with it; its steps are worked again, uncharged.
    """
    from leasehold.kernel import seats

    if (key is None) != every:
        raise UsageError("Say what to break: a KEY, or --all.", remedy="See first: `leasehold lock list`.")
    if every and force:
        raise UsageError("--all breaks no living lock.", remedy="Name the KEY with --force.")
    max_age_s = None if max_age is None else parse_time(max_age, "--max-age")
    with common.open_session(common.settings(database, home)) as session:
        keys = [limit.find(session, key).key] if key else sorted({one.key for one in seats.taken(session)})
        from leasehold.kernel.pauses import whoami

        names = {one.token: one for one in seats.taken(session)}
        found = [
            (each, one)
            for each in keys
            for one in seats.break_(session, each, by=whoami(), reason=reason, max_age_s=max_age_s, force=force)
        ]
    spared = [(each, one) for each, one in found if one.verdict in ("living", "heard too lately")]
    if key and spared and not [one for _, one in found if one.verdict == "broken"]:
        raise _refusal(key, spared[0][1], names)
    if as_json:
        emit("complete", broken=[{"key": each, **asdict(one)} for each, one in found])
        return 0
    for each, one in found:
        seat = names.get(one.token)
        whose = f"{seat.holder_kind} {seat.name}" if seat else f"holder {one.holder_id}"
        steps = f"; {counted(one.steps, 'step')} given back" if one.verdict == "broken" and one.steps else ""
        say(f"{each}: {one.verdict}: {whose}, last heard {one.heard_s:.0f} s ago{steps}")
    if not found:
        say("nobody has it" if key else "nobody has a lock")
    return 0


def _refusal(key: str, one: Any, names: dict[int, Any]) -> Refused:
    seat = names.get(one.token)
    whose = f"{seat.holder_kind} {seat.name} (pid {seat.pid} on {seat.host})" if seat else f"holder {one.holder_id}"
    if one.verdict == "living":
        return Refused(f"{key} is held by {whose}, which lives: last heard {one.heard_s:.0f} s ago.", key=key,
                       remedy=f"Wait for it; or take it all the same: leasehold lock break {key} --force")  # fmt: skip
    return Refused(f"{key} is held by {whose}, heard {one.heard_s:.0f} s ago: within --max-age.", key=key,
                   remedy="Give a smaller --max-age.")  # fmt: skip


@lock.command("run")
@KEY
@click.option("--wait", metavar="TIME", help="Stand in line for it this long: 90s, 30m, 1h [not at all].")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@common.common
def run(
    key: str, wait: str | None, command: tuple[str, ...], database: str | None, home: str | None, as_json: bool
) -> int:
    """Run COMMAND (after --) while having KEY, and end with its exit code. SEAT_TOKEN is the seat's token.

    Should the lock be lost, or this process be killed, the command is terminated, with what it has started where there
    is no terminal. Workers' steps behind KEY wait meanwhile.
    """
    if as_json:
        raise UsageError("`lock run` has no JSON form.", remedy="Leave --json out.")
    from leasehold.kernel.holding import hold

    wait_s = 0.0 if wait is None else parse_time(wait, "--wait")
    chosen = common.settings(database, home)
    with (
        common.open_session(chosen, write=True) as session,
        hold(session, key, name=os.path.basename(command[0]), wait_s=wait_s, lease=chosen.lease) as seat,
    ):
        return _run(command, seat)


def _run(arguments: tuple[str, ...], seat: Any) -> int:
    from leasehold.cli.command import Command

    try:
        command = Command(arguments, {**os.environ, "SEAT_TOKEN": str(seat.token)})
    except OSError as error:
        raise NotFound(f"The command cannot be started: {error.strerror}: {arguments[0]}",
                       remedy="Check its spelling and its path.") from error  # fmt: skip
    kept = signal.signal(signal.SIGTERM, lambda *_: command.tell(signal.SIGTERM))
    with command:
        try:
            while (code := command.wait(LOOK_EVERY_S)) is None:
                if seat.lost:
                    note(f"{seat.key} was taken away; the command is stopped")
                    command.stop()
                    seat.check()
            return code
        except KeyboardInterrupt:
            command.interrupted()
            raise
        finally:
            signal.signal(signal.SIGTERM, kept)


def has(seat: Any) -> str:
    """One taken seat, in words."""
    what = f", for {counted(seat.steps, 'step')} of {seat.kind}" if seat.leased else ""
    late = "; EXPIRED, about to be reaped" if seat.expired else ""
    return (f"{seat.holder_kind} {seat.name} (pid {seat.pid} on {seat.host}) since {seat.taken_s:.0f} s{what}, "
            f"heard {seat.heard_s:.0f} s ago{late}")  # fmt: skip


def one_waits(waiting: Any) -> str:
    silent = "" if waiting.asking else "; it does not ask any more and is passed over"
    return f"{waiting.holder_kind} {waiting.name} (pid {waiting.pid}) since {waiting.waiting_s:.0f} s{silent}"


def was_broken(one: Any) -> str:
    whose = f"{one.holder_kind} {one.name} (pid {one.pid} on {one.host})" if one.name else f"holder {one.holder_id}"
    how = "by force, " if one.forced else ""
    return (f"broken {one.at.astimezone():%Y-%m-%d %H:%M:%S} by {one.by}, {how}from {whose}, last heard "
            f"{one.heard_s:.0f} s before{f': {one.reason}' if one.reason else ''}")  # fmt: skip


def body(one: Any, taken: list[Any]) -> dict[str, Any]:
    return {**asdict(one), "taken_by": [asdict(seat) for seat in taken]}
