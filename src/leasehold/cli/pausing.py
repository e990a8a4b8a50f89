"""What `kind`, `source` and `group` share: pausing until a time, resuming, bounding the queue, and saying so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from leasehold.cli.common import emit, parse_time, say
from leasehold.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def pause_options(function: F) -> F:
    """--for, --until, --why."""
    options = (
        click.option("--for", "for_", metavar="TIME", help="How long: 90, 90s, 5m, 1h. Without an end: until resumed."),
        click.option("--until", metavar="WHEN", help="Until a time with its zone: 2030-01-31T18:00:00+01:00."),
        click.option("--why", default="", metavar="TEXT", help="The reason; `leasehold why` repeats it."),
    )
    decorated: Any = function
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def pause(session: Any, what: str, name: str, for_: str | None, until: str | None, why: str, *, as_json: bool) -> int:
    from leasehold.kernel import pauses

    for_s = None if for_ is None else parse_time(for_, "--for")
    ends = pauses.pause(session, what, name, for_s=for_s, until=_when(until), why=why)
    if as_json:
        emit("complete", what=what, name=name, until=ends)
    else:
        say(f"{what} {name} is paused {shown_end(ends)}; what runs already goes on to its end")
    return 0


def resume(session: Any, what: str, name: str, *, as_json: bool) -> int:
    from leasehold.kernel import pauses

    resumed = pauses.resume(session, what, name)
    if as_json:
        emit("complete", what=what, name=name, resumed=resumed)
    else:
        say(f"{what} {name} {'goes on' if resumed else 'was not paused'}")
    return 0


def bound(session: Any, what: str, name: str, runs_max: int | None, *, unbounded: bool, as_json: bool) -> int:
    from leasehold.kernel import bounds

    if unbounded == (runs_max is not None):
        raise UsageError("Say how many runs may be open at once.", remedy="Give --runs N or --none.")
    bounds.bound(session, what, name, runs_max)
    if as_json:
        emit("complete", what=what, name=name, runs_max=runs_max)
    else:
        say(f"{what} {name} takes {'as many runs as come' if runs_max is None else f'at most {runs_max:,} open runs'}")
    return 0


def bound_options(function: F) -> F:
    """--runs, --none."""
    runs = click.option("--runs", "runs_max", type=int, metavar="N", help="At most so many runs open at once.")
    none = click.option("--none", "unbounded", is_flag=True, help="As many as come.")
    return runs(none(function))


def paused(session: Any, what: str) -> dict[str, Any]:
    """The pauses of kinds, sources or groups, by name."""
    from leasehold.kernel import pauses

    return {one.name: one for one in pauses.current(session) if one.what == what}


def told(pause: Any) -> str:
    """A pause in a line of a list; nothing when there is none."""
    if pause is None:
        return ""
    return f"; paused {shown_end(pause.until)} by {pause.by}{f' ({pause.why})' if pause.why else ''}"


def shown_end(until: datetime | None) -> str:
    return "until it is resumed" if until is None else f"until {until.astimezone():%Y-%m-%d %H:%M:%S}"


def _when(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until {text!r} is no time; expected 2030-01-31T18:00:00+01:00.") from None
