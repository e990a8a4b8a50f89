"""`leasehold params …`: parameter sets of workflows, in files and in the database."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, say, shown
from leasehold.cli.workflow import find, sound
from leasehold.errors import NotFound


@click.group()
def params() -> None:
    """Parameter sets of workflows: in files, and in the database as groups were submitted with them."""


@params.command("list")
@click.option("--workflow", metavar="WORKFLOW", help="Those of one workflow.")
@common.places
@common.common
def listed(
    workflow: str | None, workflows: str | None, modules: tuple[str, ...], database: str | None, home: str | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Every set that a file defines or a group was submitted with, and how many groups have it."""
    from leasehold.workflows import parameter_sets
    from leasehold.workflows.definition import DEFAULT_SET

    chosen = common.settings(database, home, **common.placed(workflows, modules))
    catalog = find(chosen)
    with common.open_session(chosen) as session:
        stored = {(one.workflow, one.name): one for one in parameter_sets.known(session, workflow)}
    rows: list[dict[str, Any]] = []
    for id, found in catalog.workflows.items():
        for name in (DEFAULT_SET, *catalog.sets.get(id, ())) if workflow in (None, id) else ():
            now = parameter_sets.of(found, catalog.overrides(id, name))
            place = found.place if name == DEFAULT_SET else catalog.sets[id][name].place
            known = stored.pop((id, name), None)
            rows.append({"workflow": id, "name": name, "place": str(place), "digest": now.digest.hex(),
                         "stored": None if known is None else asdict(known)})  # fmt: skip
    rows += [{"workflow": one.workflow, "name": one.name, "place": None, "digest": one.digest, "stored": asdict(one)}
             for one in stored.values()]  # fmt: skip
    if as_json:
        emit("complete", sets=rows)
        return 0
    for row in rows:
        say(line_of(row))
    if not rows:
        say("no parameter set is known")
    return 0


def line_of(row: dict[str, Any]) -> str:
    known = row["stored"]
    where = shown(row["place"]) if row["place"] else "in the database alone"
    if known is None:
        return f"{row['workflow']} {row['name']}: not used yet; {where}"
    edited = "" if known["digest"] == row["digest"] else "; edited since, which changes nothing that is queued"
    used = f"{counted(known['groups'], 'group')}, {known['open_groups']:,} of them open"
    return f"{row['workflow']} {row['name']}: {used}; {where}{edited}"


@params.command("show")
@click.argument("workflow", metavar="WORKFLOW")
@click.argument("name", metavar="SET", default="default")
@click.option("--group", type=int, metavar="GROUP", help="The one that this group was submitted with.")
@common.places
@common.common
def show(
    workflow: str, name: str, group: int | None, workflows: str | None, modules: tuple[str, ...],
    database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """One set: every parameter of every step, with its defaults, and the digest of each step's configuration."""
    chosen = common.settings(database, home, **common.placed(workflows, modules))
    found = of_group(chosen, group) if group is not None else of_name(chosen, workflow, name)
    if as_json:
        emit(
            "complete", workflow=found.workflow, digest=found.digest.hex(), steps=[config(one) for one in found.configs]
        )
        return 0
    for one in found.configs:
        say(f"{one.step}  {one.config.hex()[:12]}  {one.method}")
        for key, value in one.parameters.items():
            say(f"    {key} = {value!r}")
    return 0


@params.command("diff")
@click.argument("workflow", metavar="WORKFLOW")
@click.argument("one", metavar="SET")
@click.argument("other", metavar="OTHER")
@common.places
@common.common
def diff(
    workflow: str, one: str, other: str, workflows: str | None, modules: tuple[str, ...], database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """What differs between two sets, and from which steps on their results cannot be the same."""
    from leasehold.workflows import parameter_sets

    chosen = common.settings(database, home, **common.placed(workflows, modules))
    first, second = of_name(chosen, workflow, one), of_name(chosen, workflow, other)
    mine, theirs = first.parameters, second.parameters
    rows: list[dict[str, Any]] = []
    for step, own, below in parameter_sets.differing(first, second):
        keys = sorted({*mine.get(step, {}), *theirs.get(step, {})})
        values = {key: [mine.get(step, {}).get(key), theirs.get(step, {}).get(key)] for key in keys
                  if mine.get(step, {}).get(key) != theirs.get(step, {}).get(key)}  # fmt: skip
        rows.append({"step": step, "shared": not below, "own": own, "parameters": values})
    if as_json:
        emit("complete", workflow=workflow, one=one, other=other, steps=rows)
        return 0
    for row in rows:
        said = "the same" if row["shared"] else "differs" if row["own"] else "follows a step that differs"
        say(f"{row['step']}: {said}")
        for key, (before, after) in row["parameters"].items():
            say(f"    {key}: {before!r} -> {after!r}")
    return 0


@params.command("delete")
@click.argument("workflow", metavar="WORKFLOW")
@click.argument("name", metavar="SET")
@common.common
def delete(workflow: str, name: str, database: str | None, home: str | None, as_json: bool) -> int:
    """Remove a set from the database. Refused while a group that was submitted with it is not complete."""
    from leasehold.workflows import parameter_sets

    with common.open_session(common.settings(database, home)) as session:
        parameter_sets.forget(session, workflow, name)
    if as_json:
        emit("complete", workflow=workflow, name=name)
    else:
        say(f"parameter set '{name}' of {workflow} is removed from the database")
    return 0


def of_name(chosen: Any, workflow: str, name: str) -> Any:
    """The set that a file defines now."""
    from leasehold.workflows import parameter_sets

    catalog, found = sound(chosen, workflow)
    return parameter_sets.of(found, catalog.overrides(workflow, name))


def of_group(chosen: Any, group: int) -> Any:
    from leasehold.workflows import parameter_sets

    with common.open_session(chosen) as session:
        found = parameter_sets.of_group(session, group)
    if found is None:
        raise NotFound(f"There is no group {group} with a parameter set.", remedy="Run `leasehold params list`.")
    return found


def config(one: Any) -> dict[str, Any]:
    return {"step": one.step, "method": one.method, "config": one.config.hex(), "parameters": one.parameters,
            "upstream": [before.hex() for before in one.upstream]}  # fmt: skip
