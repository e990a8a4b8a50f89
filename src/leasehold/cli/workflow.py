"""`leasehold workflow …`: workflows that people define, and submitting items to them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, parse_time, say, shown
from leasehold.errors import QueueFull, UsageError

LOOK_EVERY_S = 0.2
SAY_EVERY_S = 5.0
NAME = click.argument("name", metavar="WORKFLOW")
EXIT = {"complete": 0, "failed": 1, "partial": 3}


@click.group()
def workflow() -> None:
    """Workflows of your own: YAML or Python, in a folder, in modules, or in installed packages."""


def find(chosen: Any) -> Any:
    from leasehold.workflows.finding import find as find_all

    return find_all(common.places_of(chosen))


def sound(chosen: Any, name: str) -> tuple[Any, Any]:
    """The catalog, and the workflow of that name. Mistakes elsewhere in the catalog are none of its concern.

    Raises:
        WrongDefinitions: it is not there, and something is wrong that may be the reason.
    """
    catalog = find(chosen)
    if name not in catalog.workflows:
        catalog.require_sound()
    return catalog, catalog.workflow(name)


@workflow.command("list")
@common.places
@common.common
def listed(
    workflows: str | None, modules: tuple[str, ...], database: str | None, home: str | None, as_json: bool
) -> int:
    """Every workflow that is found, with its steps and parameter sets. Asks no database."""
    catalog = find(common.settings(database, home, **common.placed(workflows, modules)))
    if as_json:
        emit("complete", workflows=[described(one, catalog) for one in catalog.workflows.values()],
             mistakes=[mistake(one) for one in catalog.mistakes])  # fmt: skip
        return 0
    for one in catalog.workflows.values():
        sets = ", ".join(catalog.sets.get(one.id, ()))
        say(f"{one.id}: {counted(len(one.steps), 'step')}{f', parameter sets {sets}' if sets else ''}  "
            f"{shown(str(one.place))}")  # fmt: skip
    if not catalog.workflows:
        say("no workflow is known; name a folder with --workflows, or a module with --module")
    if catalog.mistakes:
        note(f"{counted(len(catalog.mistakes), 'mistake')}; run `leasehold workflow validate`")
    return 0


@workflow.command("show")
@NAME
@common.places
@common.common
def show(
    name: str, workflows: str | None, modules: tuple[str, ...], database: str | None, home: str | None, as_json: bool
) -> int:
    """One workflow: its steps, what each waits for, calls and takes, and its hooks. Asks no database."""
    catalog, found = sound(common.settings(database, home, **common.placed(workflows, modules)), name)
    body = described(found, catalog)
    if as_json:
        emit("complete", workflow=body)
        return 0
    say(f"{found.id}{f': {found.name}' if found.name != found.id else ''}  {shown(str(found.place))}")
    for step in body["steps"]:
        after = f", after {' and '.join(step['after'])}" if step["after"] else ""
        tried = f", {counted(step['retries'], 'retry', 'retries')}" if step["retries"] else ", no retries"
        say(f"  {step['name']}{after}: {step['method']}, at most {step['timeout_s']:g} s{tried}")
        for key, value in step["parameters"].items():
            say(f"      {key} = {value!r}  ({step['takes'][key]})")
    for hook in body["hooks"]:
        say(f"  on {', '.join(hook['on'])}: {hook['call']}  ({hook['name']})")
    if body["sets"]:
        say(f"  parameter sets: {', '.join(body['sets'])}")
    return 0


@workflow.command("validate")
@common.places
@common.common
def validate(
    workflows: str | None, modules: tuple[str, ...], database: str | None, home: str | None, as_json: bool
) -> int:
    """Check every definition that is found, and say all that is wrong, by file and line. Exit code 1 if anything is."""
    catalog = find(common.settings(database, home, **common.placed(workflows, modules)))
    failed = bool(catalog.mistakes)
    if as_json:
        emit("failed" if failed else "complete", workflows=list(catalog.workflows),
             mistakes=[mistake(one) for one in catalog.mistakes])  # fmt: skip
        return 1 if failed else 0
    for one in catalog.mistakes:
        say(f"{shown(str(one.place))}: {f'{one.subject}: ' if one.subject else ''}{one.message}")
    sets = sum(len(ones) for ones in catalog.sets.values())
    good = f"{counted(len(catalog.workflows), 'workflow')} and {counted(sets, 'parameter set')} are sound"
    say(f"{counted(len(catalog.mistakes), 'mistake')}; {good}" if failed else good)
    return 1 if failed else 0


@workflow.command("run")
@NAME
@click.option("--items", metavar="FILE", help="JSON lines, one item a line; - reads standard input.")
@click.option("--files", type=common.PathThere(), multiple=True, metavar="PATH",
              help='A file, or a folder with all files below it; each becomes the item {"path": …}.')  # fmt: skip
@click.option("--params", "set_name", default="default", show_default=True, metavar="SET", help="The parameter set.")
@click.option("--set", "sets", multiple=True, metavar="STEP.KEY=VALUE", help="One parameter, over those of the set.")
@click.option("--key", metavar="KEY", help="An idempotency key: the same submission again adds nothing.")
@click.option("--label", default="", metavar="TEXT", help="What people see the group by.")
@click.option("--weight", type=int, default=1, show_default=True, metavar="N", help="Its part of the workers.")
@click.option("--priority", type=int, default=0, show_default=True, metavar="N", help="Higher first.")
@click.option("--failures-max", type=int, metavar="N", help="Failed runs with which it still counts as succeeded.")
@click.option("--wait", is_flag=True, help="Wait until it is complete; workers must be running somewhere.")
@click.option("--work", is_flag=True, help="Wait, and work meanwhile: as `leasehold worker` beside this command.")
@click.option("--processes", type=int, metavar="P", help="Worker processes of --work [one per core].")
@click.option("--timeout", "timeout", metavar="TIME", help="Wait no longer than this: 90, 90s, 5m, 1h. Exit code 3.")
@click.option("--no-wait-hooks", is_flag=True, help="Do not wait for calls of hooks; a worker makes them.")
@click.option("--dry-run", is_flag=True, help="Only check the items and parameters, and count.")
@common.places
@common.common
def run(
    name: str, items: str | None, files: tuple[Path, ...], set_name: str, sets: tuple[str, ...], key: str | None,
    label: str, weight: int, priority: int, failures_max: int | None, wait: bool, work: bool, processes: int | None,
    timeout: str | None, no_wait_hooks: bool, dry_run: bool, workflows: str | None, modules: tuple[str, ...],
    database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Submit items to a workflow as one group: one run for each, under the parameters of now, whatever is edited later.

    Exit code 0 when submitted, or with --wait when it has succeeded and its hooks were called; 1 when more failed than
    it bears, or a hook; 3 when the time was over first.
    """
    from leasehold.workflows import parameter_sets

    chosen = common.settings(database, home, **common.placed(workflows, modules))
    limit_s = parse_time(timeout, "--timeout") if timeout else None
    if (items is None) == (not files):
        raise UsageError("Give the items with --items FILE, or files with --files PATH.",
                         remedy="Write one JSON value a line into FILE; --items - reads standard input.")  # fmt: skip
    catalog, found = sound(chosen, name)
    overrides = parameter_sets.merged(catalog.overrides(name, set_name), parameter_sets.parse_sets(found, sets))
    parameters = parameter_sets.of(found, overrides)
    given = json_lines(items) if items is not None else files_below(files)
    if dry_run:
        n = sum(1 for _ in given)
        if as_json:
            emit("complete", workflow=name, items=n, parameters=parameters.parameters, dry_run=True)
        else:
            say(f"{counted(n, 'item')} would be submitted to {name}")
        return 0
    with common.open_session(chosen, write=True) as session:
        options = {"weight": weight, "priority": priority, "failures_max": failures_max}
        helper = worker_beside(chosen, processes) if work else None
        try:
            room = Room(limit_s) if wait or work else None
            group = submit(session, found, given, key, room, parameters=parameters, label=label or name,
                           set_name=None if sets else set_name, options=options)  # fmt: skip
            note(
                f"group {group.group_id}: {counted(group.added, 'run')}{'' if group.created else ', submitted before'}"
            )
            if room is None:
                return answer(session, group, "complete", as_json=as_json)
            ended = wait_for(session, group.group_id, limit_s, helper, hooks=not no_wait_hooks)
        finally:
            if helper is not None:
                stop(helper)
        return answer(session, group, ended, as_json=as_json)


class Room:
    """Waits until as few runs are open as may be, for no longer than *limit_s*."""

    def __init__(self, limit_s: float | None) -> None:
        self._until_s = None if limit_s is None else time.monotonic() + limit_s
        self._said = False

    def wait(self, error: QueueFull) -> None:
        if self._until_s is not None and time.monotonic() > self._until_s:
            raise error
        if not self._said:
            note(f"{error.message} Waiting for room.")
            self._said = True
        time.sleep(LOOK_EVERY_S)


def submit(session: Any, found: Any, given: Iterator[Any], key: str | None, room: Room | None, **how: Any) -> Any:
    """Submit under *key*, or one of our own, so that a submission that is cut short can go on."""
    from leasehold.workflows import submitting

    own = key or f"run {uuid4().hex[:12]}"
    try:
        return submitting.submit(session, found, given, key=own, full=room.wait if room else None, **how)
    except QueueFull as error:
        raise QueueFull(error.message, remedy=f"Go on later, with the same items and --key '{own}'.") from error


def answer(session: Any, group: Any, outcome: str, *, as_json: bool) -> int:
    from leasehold.kernel import groups, hooks

    state = groups.state(session, group.group_id)
    assert state is not None
    calls = hooks.counts(session, [group.group_id])
    if as_json:
        emit(outcome, group=asdict(state), hooks=calls, created=group.created, workflow_id=group.workflow_id,
             parameter_set=group.set_id)  # fmt: skip
    elif state.completed:
        say(f"group {group.group_id}: {state.succeeded:,} succeeded, {state.failed:,} failed, "
            f"{state.cancelled:,} skipped or cancelled")  # fmt: skip
        if state.failed:
            note(f"  -> leasehold group show {group.group_id}")
        if failed := sum(one.get("failed", 0) for one in calls.values()):
            say(f"{counted(failed, 'call')} of hooks failed")
            note("  -> leasehold hook list")
    else:
        say(f"group {group.group_id}: {state.ended:,} of {state.added:,} runs have ended")
    return EXIT[outcome]


# -- items ------------------------------------------------------------------------------------------------------------


def json_lines(name: str) -> Iterator[Any]:
    """The values of a file of JSON lines; empty lines are none.

    Raises:
        UsageError: a line that is no JSON, by its number. What stands before it may have been submitted: with the same
            key the corrected file goes on from there.
    """
    import orjson

    try:
        file = sys.stdin.buffer if name == "-" else open(name, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"The file {name} cannot be read: {error.strerror}.", remedy="Correct --items.") from error
    with file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise UsageError(f"{name}:{number}: this is no JSON: {error}.",
                                     remedy="Write one JSON value a line.") from error  # fmt: skip


def files_below(paths: Sequence[Path]) -> Iterator[Any]:
    """{"path": absolute path} of each file, in the order of their names."""
    for path in paths:
        if not path.exists():
            raise UsageError(f"There is no file or folder {path}.")
        for one in [path] if path.is_file() else sorted(path.rglob("*")):
            if one.is_file():
                yield {"path": str(one.absolute())}


# -- waiting ----------------------------------------------------------------------------------------------------------


def wait_for(session: Any, group_id: int, limit_s: float | None, helper: Any, *, hooks: bool) -> str:
    """How the group's round ended, and with *hooks* every call of its hooks: complete or failed; partial when the time
    was over first."""
    from leasehold.kernel import groups
    from leasehold.kernel import hooks as calls

    began = said = time.monotonic()
    while True:
        groups.fold(session, group_id)
        state = groups.state(session, group_id)
        assert state is not None
        if state.completed:
            counted_calls = calls.counts(session, [group_id]) if hooks else {}
            if not calls.under_way(counted_calls):
                fine = state.outcome == "succeeded" and not any(one.get("failed") for one in counted_calls.values())
                return "complete" if fine else "failed"
        now = time.monotonic()
        if limit_s is not None and now - began > limit_s:
            return "partial"
        if helper is not None and helper.poll() is not None:
            raise UsageError(
                f"The worker beside this command ended (exit {helper.returncode}).",
                remedy="Read above why; the group waits, and `leasehold worker` goes on with it.",
            )
        if now - said > SAY_EVERY_S:
            said = now
            note(f"{state.ended:,} of {state.added:,} runs have ended")
        time.sleep(LOOK_EVERY_S)


def worker_beside(chosen: Any, processes: int | None) -> Any:
    """`leasehold worker` as a process of its own: this one has imported the definitions, and a keeper must not."""
    words = [sys.executable, "-P", "-m", "leasehold", "worker", "--stop-within", "10"]
    words += ["--processes", str(processes)] if processes else []
    words += ["--home", str(chosen.home)]
    for flag, value in (("--database", chosen.database_url), ("--direct", chosen.direct_url),
                        ("--workflows", chosen.workflows.folder)):  # fmt: skip
        words += [flag, str(value)] if value else []
    for module in chosen.workflows.modules:
        words += ["--module", module]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())  # what steps print is no data


def stop(helper: Any) -> None:
    helper.terminate()
    try:
        helper.wait(20.0)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()


# -- telling ----------------------------------------------------------------------------------------------------------


def described(one: Any, catalog: Any) -> dict[str, Any]:
    """A workflow as `--json` tells it."""
    from typing import get_type_hints

    from leasehold.workflows.values import plain, told

    names = [step.name for step in one.steps]
    steps = []
    for step in one.steps:
        hints = get_type_hints(step.method.parameters) if step.method.parameters else {}
        steps.append({
            "name": step.name, "kind": step.kind, "after": [names[parent] for parent in step.parents],
            "method": step.method.name, "timeout_s": step.timeout_s, "retries": step.retries,
            "backoff_s": step.backoff_s, "backoff_max_s": step.backoff_max_s, "breaker_after": step.breaker_after,
            "seat": step.seat or None, "parameters": plain(step.parameters),
            "takes": {name: told(hint) for name, hint in hints.items()},
        })  # fmt: skip
    return {"id": one.id, "name": one.name, "place": str(one.place), "steps": steps,
            "hooks": [hook.as_dict() for hook in one.hooks], "sets": list(catalog.sets.get(one.id, ()))}  # fmt: skip


def mistake(one: Any) -> dict[str, Any]:
    return {"file": one.place.file, "line": one.place.line or None, "subject": one.subject, "message": one.message}
