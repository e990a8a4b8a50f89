"""What commands share: the options every one has, opening the database, and printing for machines and people."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO, TypeVar

import click

from leasehold.cli import config
from leasehold.cli.config import Settings
from leasehold.errors import SchemaBehind, UsageError
from leasehold.logs import FORMS, TEXT, set_up

F = TypeVar("F", bound=Callable[..., Any])
SCHEMA_VERSION = 1
DIRECT = "database.direct_url"
LOGGING = "logging"
__all__ = [
    "UsageError",
    "by_reason",
    "common",
    "counted",
    "emit",
    "note",
    "open_session",
    "parse_time",
    "say",
    "settings",
    "shown",
]


def common(function: F) -> F:
    """The options of every command: --database, --direct, --home, --json, --debug, --log-format."""
    options = (
        click.option("--database", metavar="URL", help="PostgreSQL 15 to 18 to use instead of our own server."),
        click.option("--direct", metavar="URL", help="The same database past its pooler [database.direct_url]."),
        click.option("--home", metavar="DIR", help="Where our own server keeps its data [LEASEHOLD_HOME]."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output."),
        click.option("--debug", is_flag=True, help="Log details, and show traces of unexpected errors."),
        click.option(
            "--log-format", type=click.Choice(FORMS), default=TEXT, help="Log lines on standard error [text]."
        ),
    )

    @functools.wraps(function)
    def with_logging(*args: Any, **kwargs: Any) -> Any:
        level = logging.DEBUG if kwargs.pop("debug") else logging.WARNING
        meta, form = click.get_current_context().meta, kwargs.pop("log_format")
        meta[DIRECT] = kwargs.pop("direct")
        meta[LOGGING] = {"log_level": logging.getLevelName(level), "log_format": form}
        set_up(level, form)
        return function(*args, **kwargs)

    decorated: Any = with_logging
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def logging_of_children() -> dict[str, Any]:
    """How worker processes that this command starts are to log: as it does itself."""
    context = click.get_current_context(silent=True)
    return dict(context.meta.get(LOGGING, {})) if context is not None else {}


def serve_metrics(address: str, numbers: Callable[[], Any], target: Any) -> Any:
    """Answer Prometheus at *address* until closed, with what *numbers* gives and how the queue stands."""
    from leasehold.metrics import Collector, serve
    from leasehold.metrics.queue import Queue

    served = serve(address, Collector(numbers, Queue(target)))
    note(f"metrics at {served.url}")
    return served


def places(function: F) -> F:
    """The options of commands that look for workflow definitions: --workflows, --module."""
    decorated: Any = click.option(
        "--module", "modules", multiple=True, metavar="NAME",
        help="A Python module that declares workflows [workflows.modules].",
    )(function)  # fmt: skip
    decorated = click.option(
        "--workflows", metavar="FOLDER", help="A folder of workflow definitions, YAML and Python [workflows.folder]."
    )(decorated)
    return decorated  # type: ignore[no-any-return]


def placed(workflows: str | None, modules: Sequence[str]) -> dict[str, Any]:
    """The flags of `places`, for `settings`."""
    return {"workflows.folder": workflows, "workflows.modules": tuple(modules) or None}


def places_of(chosen: Settings) -> Any:
    """Where definitions are looked for. Modules beside the command's folder are found, as `python -m` finds them."""
    from leasehold.workflows.finding import Places

    folder = chosen.workflows.folder
    return Places(
        folder=os.path.abspath(os.path.expanduser(folder)) if folder else "", modules=chosen.workflows.modules
    )


def folders_of(places: Any) -> list[str]:
    """Where the functions of hooks are looked for, besides what is installed: the workflows' folder, and this one."""
    return [*([places.folder] if places.folder else ()), os.getcwd()]


def on_signals(first: Callable[[], None], again: Callable[[], None]) -> None:
    """At the first SIGINT or SIGTERM call *first*, at each later one *again*, on a thread of their own.

    Not in the handler: that interrupts the main thread wherever it is, also within the `set` of the very event that it
    would set, and would wait for itself for ever.
    """
    heard: SimpleQueue[int] = SimpleQueue()  # its put may interrupt itself

    def act() -> None:
        heard.get()
        first()
        while True:
            heard.get()
            again()

    threading.Thread(target=act, name="leasehold-signals", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: heard.put(number))


class PathThere(click.Path):
    """A path that is given and not empty: an unset variable in a script must not mean the working directory."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


def settings(database: str | None, home: str | None, **flags: Any) -> Settings:
    """All settings, with flags by their dotted names (chunk_size=… is given as **{"chunk.size": …})."""
    context = click.get_current_context(silent=True)
    direct = context.meta.get(DIRECT) if context is not None else None
    return config.load({"database.url": database, "database.direct_url": direct, "home": home, **flags})


SETTABLE = ("chunk.", "embed.")


def changes(sets: Sequence[str]) -> dict[str, str]:
    """The settings of `--set KEY=VALUE`, by name.

    Raises:
        UsageError: no KEY=VALUE, or not a parameter of a collection.
    """
    found = {}
    for one in sets:
        key, equals, value = one.partition("=")
        if not equals or not value.strip() or not key.startswith(SETTABLE) or key not in config.known_keys():
            known = ", ".join(name for name in config.known_keys() if name.startswith(SETTABLE))
            raise UsageError(f"--set {one!r} sets no parameter of a collection.",
                             remedy=f"Write KEY=VALUE, for example chunk.size=800. Keys: {known}.")  # fmt: skip
        found[key] = value.strip()
    return found


def open_session(chosen: Settings, *, write: bool = False) -> Any:
    """A session on a database with our schema. Our own server, and an empty database, are migrated on the way.

    Raises:
        SchemaBehind: somebody else's server has an older schema; migrating it is its owner's decision.
    """
    from leasehold.db.migrations import is_current, is_empty, migrate
    from leasehold.db.session import Session

    session = Session(chosen.target, application_name="leasehold cli")
    if not is_current(session):
        if not chosen.target.embedded and not (write and is_empty(session)):
            if is_empty(session):
                remedy = "Run `leasehold ingest PATH` or `leasehold db migrate`."
                raise SchemaBehind("The database has no schema of ours yet.", remedy=remedy)
            raise SchemaBehind()
        with Session(chosen.target, route="direct", application_name="leasehold migrate") as direct:
            migrate(direct)
    return session


def emit(outcome: str, **body: Any) -> None:
    """One JSON object on standard output: schema_version and outcome first."""
    say(json.dumps({"schema_version": SCHEMA_VERSION, "outcome": outcome, **body}, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def say(text: str = "", *, styled: bool = False) -> None:
    """A line of data, on standard output. Whoever closed the pipe has seen enough: the command goes on quietly.

    Args:
        styled: it has our own codes for the terminal in it, and the rest of it is printable.
    """
    try:
        print(text if styled else printable(text))
    except BrokenPipeError:
        to_nowhere(sys.stdout)


def note(text: str) -> None:
    """A line about what is going on, on standard error."""
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except BrokenPipeError:
        to_nowhere(sys.stderr)


def printable(text: str) -> str:
    """*text* with what would act on a terminal made visible: control and direction characters, stray bytes of names."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else repr(one)[1:-1] for one in text)


def to_nowhere(stream: TextIO) -> None:
    """Send what is still to come to the null device: nobody reads the pipe any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def counted(n: int, one: str, many: str | None = None) -> str:
    """`1 file`, `2 files`, `12,000 files`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def parse_time(text: str, option: str) -> float:
    """Seconds of `90`, `90s`, `5m`, `1h`.

    Raises:
        UsageError: anything else, and 0 or less.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "s")
    factor = {"s": 1, "m": 60, "h": 3600}.get(unit)
    if factor is None or not number.isascii() or not number.isdigit() or int(number) == 0:
        raise UsageError(f"{option} {text!r} is no time; expected 90, 90s, 5m or 1h.")
    return float(int(number) * factor)


def by_reason(reasons: dict[str, int]) -> str:
    """`170 no reader for the type, 31 empty`, most first."""
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{n:,} {reason}".rstrip() for reason, n in ordered)


def shown(path: str) -> str:
    """A path as short as it can be told: relative to here, or with ~ for home."""
    here = os.getcwd()
    if path.startswith(here + os.sep):
        return path[len(here) + 1 :]
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path
