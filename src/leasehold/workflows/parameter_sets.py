"""Parameter sets: what a group's steps are worked with, kept under what it is made of.

A set is a list of step configurations, one for each step of its workflow. A configuration is a method, its parameters
with every default written out, and the configurations of the steps it waits for; its name is the digest of that. So two
sets that are equal up to some step have the same configurations up to there and none after it, and neither the order of
keys nor the form of a file matters. A name ("default", "small") only says which set was last meant by it.

Authoritative: the rows. They are never changed: an edited set is another one, and a group keeps the one it was opened
with.

What can fail: ten processes use a new set at the same time; they agree on one row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.workflows.checking import with_parameters
from leasehold.workflows.definition import DEFAULT_SET, Workflow
from leasehold.workflows.values import canonical, from_text, near, plain

PACKAGE = "leasehold.workflows"


@dataclass(frozen=True, slots=True)
class StepConfig:
    """What one step is worked with. `config` is the digest (32 bytes) of all the rest, `upstream` those it follows."""

    config: bytes
    step: str
    method: str
    parameters: Mapping[str, Any]
    upstream: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """A set of a workflow, in the order of its steps."""

    workflow: str
    configs: tuple[StepConfig, ...]

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.workflow.encode() + b"\0" + b"".join(one.config for one in self.configs)).digest()

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """By step, for those that have any."""
        return {one.step: dict(one.parameters) for one in self.configs if one.parameters}


@dataclass(frozen=True, slots=True)
class Known:
    """A name in the database: its set, and how many groups are open, or there at all, that were opened with it."""

    workflow: str
    name: str
    set_id: int
    digest: str
    parameters: dict[str, dict[str, Any]]
    since: datetime
    open_groups: int
    groups: int


def of(workflow: Workflow, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> ParameterSet:
    """The set of *workflow* with *overrides*, by step.

    Raises:
        UsageError: naming everything that is wrong with the overrides.
    """
    values, wrong = with_parameters(workflow, overrides or {})
    if wrong:
        said = [f"{'.'.join(where)}: {message}" for where, message in wrong]
        raise UsageError("\n  ".join(["These parameters do not fit:", *said]),
                         remedy=f"Run `leasehold workflow show {workflow.id}` for what its steps take.")  # fmt: skip
    configs: list[StepConfig] = []
    for step, value in zip(workflow.steps, values, strict=True):
        parameters = plain(value)
        upstream = tuple(configs[parent].config for parent in step.parents)
        body = [step.name, step.method.name, parameters, [one.hex() for one in upstream]]
        config = hashlib.sha256(canonical(body)).digest()
        configs.append(StepConfig(config, step.name, step.method.name, parameters, upstream))
    return ParameterSet(workflow.id, tuple(configs))


def parse_sets(workflow: Workflow, texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The overrides that `step.key=value` texts mean. Raises UsageError for what is none."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        name, dot, key = path.strip().partition(".")
        if not equals or not dot or not key:
            raise UsageError(
                f"--set {text!r} sets nothing.", remedy="Write STEP.PARAMETER=VALUE, for example chunk.size=800."
            )
        step = workflow.step(name)
        if step is None:
            names = [one.name for one in workflow.steps]
            raise UsageError(f"--set {text!r}: workflow '{workflow.id}' has no step '{name}'{near(name, names)}")
        found.setdefault(name, {})[key] = from_text(step.method.parameters, [key], value.strip())
    return found


def merged(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The overrides of all *layers*, the last word on a parameter being the last layer's."""
    found: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for step, values in layer.items():
            found.setdefault(step, {}).update(values)
    return found


def differing(one: ParameterSet, other: ParameterSet) -> list[tuple[str, bool, bool]]:
    """Each step of either set: its name, whether its own method or parameters differ, and whether its configuration
    does, which it also does when a step before it differs."""
    theirs = {config.step: config for config in other.configs}
    mine = {config.step: config for config in one.configs}
    found = []
    for name in dict.fromkeys([*mine, *theirs]):
        a, b = mine.get(name), theirs.get(name)
        own = a is None or b is None or (a.method, canonical(a.parameters)) != (b.method, canonical(b.parameters))
        found.append((name, own, a is None or b is None or a.config != b.config))
    return found


# -- the database -----------------------------------------------------------------------------------------------------


def register(session: Session, one: ParameterSet, *, name: str | None = None) -> int:
    """Store a set, once per content; its id. *name* is from now on the name of this one."""
    return session.run(partial(_register, one=one, name=name))


def _register(connection: Connection, one: ParameterSet, name: str | None) -> int:
    configs = [
        {"config": config.config.hex(), "step": config.step, "method": config.method, "parameters": config.parameters,
         "upstream": [before.hex() for before in config.upstream]}
        for config in one.configs
    ]  # fmt: skip
    params = (one.workflow, one.digest, orjson.dumps(configs).decode(), name)
    return int(execute(connection, load(PACKAGE, "call_parameter_set_register"), params)[0][0])


def known(session: Session, workflow: str | None = None) -> list[Known]:
    """The named sets in the database."""
    return [Known(*row) for row in session.fetch(load(PACKAGE, "parameter_sets"), {"workflow": workflow})]


def read(session: Session, set_id: int) -> ParameterSet | None:
    """A set as it was stored."""
    rows = session.fetch(load(PACKAGE, "parameter_set_configs"), (set_id,))
    if not rows:
        return None
    configs = (StepConfig(bytes(config), step, method, parameters, tuple(bytes(one) for one in upstream))
               for _, config, step, method, parameters, upstream in rows)  # fmt: skip
    return ParameterSet(rows[0][0], tuple(configs))


def of_group(session: Session, group_id: int) -> ParameterSet | None:
    """The set that a group was opened with; None of a group that has none."""
    rows = session.fetch(load(PACKAGE, "group_set"), (group_id,))
    return read(session, int(rows[0][0])) if rows else None


def forget(session: Session, workflow: str, name: str) -> None:
    """Remove a name, and its set when no group was ever opened with it.

    Raises:
        NotFound: there is no such name.
        Refused: a group that was opened with it is not complete.
        UsageError: it is the workflow's own set.
    """
    if name == DEFAULT_SET:
        raise UsageError(f"'{DEFAULT_SET}' is what the workflow '{workflow}' itself says, and cannot be deleted.",
                         remedy="Change the workflow's own parameters, or leave it.")  # fmt: skip
    session.fetch(load(PACKAGE, "call_parameter_set_forget"), (workflow, name))
