"""The command tree, loaded lazily: names and one-line helps here, everything else in the command's own module."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from leasehold.errors import LeaseholdError, UsageError

COMMANDS: dict[str, tuple[str, str]] = {
    "ingest": ("leasehold.cli.ingest:ingest", "Bring folders into a collection: only what changed is worked."),
    "search": ("leasehold.cli.search:search", "Ask a collection; answers carry file and line."),
    "eval": ("leasehold.cli.evaluate:evaluate", "Ask questions whose answers are known: share found, and how early."),
    "collection": ("leasehold.cli.collection:collection", "Collections: list, show, compare, drop."),
    "artifact": ("leasehold.cli.artifact:artifact", "Results that are kept: how much there is, and what nobody needs."),
    "plan": ("leasehold.cli.plan:plan", "Say what an ingest would do, and why, without doing it."),
    "status": ("leasehold.cli.status:status", "Sources, work under way, workers."),
    "why": ("leasehold.cli.why:why", "Say in one sentence where a step, a run, a group or a file stands."),
    "proof": ("leasehold.cli.proof:proof", "Account for everything that was seen, counted from the store itself."),
    "retry": ("leasehold.cli.retry:retry", "Open a new round for what failed."),
    "group": (
        "leasehold.cli.group:group",
        "Groups of runs: list, show, why, set, seal, pause, resume, bound, cancel, retry.",
    ),
    "run": ("leasehold.cli.run:run", "Single runs: list, show, why, cancel, retry, snooze."),
    "step": ("leasehold.cli.step:step", "Single steps, and those that failed: show, requeue."),
    "workflow": ("leasehold.cli.workflow:workflow", "Workflows of your own: list, show, validate, run."),
    "params": ("leasehold.cli.params:params", "Parameter sets of workflows: list, show, diff, delete."),
    "hook": ("leasehold.cli.hook:hook", "Calls of hooks, and what came of them: list, retry."),
    "kind": ("leasehold.cli.kind:kind", "Kinds of step: list, pause, resume, bound."),
    "lock": ("leasehold.cli.lock:lock", "Locks and who has them: list, why, run, break."),
    "limit": ("leasehold.cli.limit:limit", "How much runs at once, everywhere: list, set, pause, resume, remove."),
    "source": ("leasehold.cli.source:source", "Sources as the workers see them: list, pause, resume, bound."),
    "worker": ("leasehold.cli.worker:worker", "Work on whatever is queued; workers anywhere: list, drain, resume."),
    "demo": ("leasehold.cli.demo:demo", "Watch it all happen on real files, a killed worker included."),
    "readers": ("leasehold.cli.readers:readers", "Which files can be read, by what, and what is missing for the rest."),
    "chaos": ("leasehold.cli.chaos:chaos", "Do not believe us: kill, stop and cut off workers, and count."),
    "prune": ("leasehold.cli.prune:prune", "Let history leave: runs and events of what ended long ago."),
    "doctor": ("leasehold.cli.doctor:doctor", "Look at what work depends on, and say what to change."),
    "claims": ("leasehold.cli.claims:claims", "Share the rows of your own table among workers, in SQL alone."),
    "db": ("leasehold.cli.db:db", "The database: up, down, status, migrate, shell."),
    "config": ("leasehold.cli.config_command:config", "Show the settings and where each comes from."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when one of them is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"There is no command '{args[0]}'.{_near(args[0], COMMANDS)}",
                             remedy="Run `leasehold --help` for the list.")  # fmt: skip
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog="Every command: --help, --json."
)
@click.version_option(package_name="leasehold", message="leasehold %(version)s")
def cli() -> None:
    """Turn any pile of documents into searchable knowledge, with as many workers as you like.

    Without a database of your own, Leasehold runs one by itself in LEASEHOLD_HOME.
    """


def run(args: Sequence[str]) -> int:
    """Run one command; its exit code."""
    code = _run(args)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        from leasehold.cli.common import to_nowhere

        to_nowhere(sys.stdout)
    return code


def _run(args: Sequence[str]) -> int:
    as_json = "--json" in args
    try:
        code = cli.main(args=list(args), prog_name="leasehold", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        _say({"code": "interrupted", "message": "Interrupted.", "remedy": "Run the command again to go on."}, as_json)
        return 130
    except click.ClickException as error:
        usage = UsageError(f"{error.format_message()}", remedy=_usage_remedy(error))
        _say(usage.as_dict(), as_json)
        return 2
    except LeaseholdError as error:
        _say(error.as_dict(), as_json)
        return error.exit_code
    except Exception as error:
        if "--debug" in args or os.environ.get("LEASEHOLD_DEBUG"):
            raise
        unexpected = LeaseholdError(f"Unexpected {type(error).__name__}: {' '.join(str(error).split())[:500]}")
        _say(unexpected.as_dict(), as_json)
        return 1


def _usage_remedy(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "leasehold"
    return f"Run `{command} --help`."


def _say(error: dict[str, Any], as_json: bool) -> None:
    """A failure: a line of JSON on standard output where that was asked for, words on standard error always."""
    if as_json:
        import json

        print(json.dumps({"schema_version": 1, "outcome": "error", "error": error}))
    facts = " ".join(f"{name}={value}" for name, value in error.get("context", {}).items())
    print(f"error: {error['message']}{f' [{facts}]' if facts else ''}", file=sys.stderr)
    if error.get("remedy"):
        print(f"  -> {error['remedy']}", file=sys.stderr)


def _near(name: str, known: Any) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
