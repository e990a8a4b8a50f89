"""Drilling: a workflow that people defined, or the built-in drill, worked twice by the lab: in peace, then under
attack.

Its final state must be the same: how each run ended; what each step of a succeeded run gave, to the last digit; which
steps of a failed one failed, and why; which calls of its hooks were made, and how they ended. In a failed run it
depends on the moment how far the other branches came, so that is not compared.

Deaths that the lab brings about may be charged to a step that stood alone. So the lab gives every step and hook more
retries than the definition does, and shorter pauses, in both runs alike.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from leasehold.chaos.drill import NAME
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.kernel import hooks
from leasehold.workflows import submitting
from leasehold.workflows.definition import Workflow
from leasehold.workflows.finding import Places, find

PACKAGE = "leasehold.chaos"
MODULE = "leasehold.chaos.drill"
RETRIES_MORE = 40
BACKOFF_S, BACKOFF_MAX_S = 0.05, 0.5
RUNS = 100
FINE = "succeeded"


class Drilling:
    """One workflow and its items.

    Raises:
        NotFound, WrongDefinitions, UsageError: there is no such workflow, or it is wrong, or its items are.
    """

    def __init__(self, name: str, places: Places, items: Path | None, runs: int | None) -> None:
        self.places = replace(places, modules=(*places.modules, MODULE)) if name == NAME else places
        catalog = find(self.places)
        catalog.require_sound()  # workers would not start otherwise
        self.workflow = _patient(catalog.workflow(name))
        if name == NAME and items is None:
            self.items: list[Any] = [{"n": n} for n in range(runs or RUNS)]
        elif items is None:
            raise UsageError(f"The workflow '{name}' needs items to work.", remedy="Give them with --items FILE.")
        else:
            self.items = list(islice(_lines(items), runs))

    @property
    def arguments(self) -> list[str]:
        """Of `leasehold worker`, that it knows the workflow."""
        found = ["--workflows", self.places.folder] if self.places.folder else []
        for module in self.places.modules:
            found += ["--module", module]
        return found

    def prepare(self, session: Session) -> None:
        session.fetch(load(PACKAGE, "hook_effect_table"))

    def submit(self, session: Session, number: int, first: int, count: int) -> int:
        """A sealed group of some of the items; may be sent again."""
        part = self.items[first : first + count]
        return submitting.submit(session, self.workflow, part, key=f"group {number}", label=f"group {number}").group_id

    # -- the final state ----------------------------------------------------------------------------------------------

    def hooks_under_way(self, session: Session) -> int:
        return hooks.under_way(hooks.counts(session))

    def state(self, session: Session) -> Counter[str]:
        """Every run and every call of a hook, as one line each; equal ones are counted."""
        results = dict(session.fetch(load(PACKAGE, "results")))
        steps: dict[int, list[tuple[int, str, str | None]]] = {}
        for step_id, ended, reason in session.fetch(load(PACKAGE, "last_ends")):
            steps.setdefault(step_id >> 10, []).append((step_id, ended, reason))
        lines: Counter[str] = Counter()
        for run_id, item, label, ended in session.fetch(load(PACKAGE, "runs")):
            lines[_line("run", label, item, ended, self._told(ended, steps.get(run_id, []), results))] += 1
        for hook, event, label, item, ended in session.fetch(load(PACKAGE, "hook_ends")):
            lines[_line("hook", label, item, ended, [hook, event])] += 1
        return lines

    def _told(self, ended: str | None, steps: list[tuple[int, str, str | None]], results: dict[int, Any]) -> list[Any]:
        names = [step.name for step in self.workflow.steps]
        if ended == FINE:
            return [[names[step_id & 1023], results.get(step_id)] for step_id, _, _ in sorted(steps)]
        return [[names[step_id & 1023], reason] for step_id, how, reason in sorted(steps) if how == "failed"]

    def effects(self, session: Session) -> tuple[int, list[str]]:
        """How many rows the drill's hooks have written, and those calls that wrote none or should not have."""
        rows = session.fetch(load(PACKAGE, "hook_effects_unbalanced"))
        written = int(session.fetch(load(PACKAGE, "hook_effects_count"))[0][0])
        return written, [f"call {key} of hook {hook}: {n} rows" for key, hook, n in rows]

    def results_without_success(self, session: Session) -> list[str]:
        return [f"step {step_id} gave something and has not succeeded"
                for (step_id,) in session.fetch(load(PACKAGE, "results_unbalanced"))]  # fmt: skip


def _line(what: str, label: str, item: Any, ended: str | None, told: Any) -> str:
    return json.dumps([what, label, item, ended, told], sort_keys=True)


def _patient(workflow: Workflow) -> Workflow:
    """The same workflow with retries for the deaths that the lab brings about."""
    steps = tuple(
        replace(one, retries=min(999, one.retries + RETRIES_MORE), backoff_s=min(one.backoff_s, BACKOFF_S),
                backoff_max_s=min(one.backoff_max_s, BACKOFF_MAX_S), breaker_after=None)
        for one in workflow.steps
    )  # fmt: skip
    called = tuple(
        replace(one, attempts_max=min(1000, one.attempts_max + RETRIES_MORE), backoff_s=min(one.backoff_s, BACKOFF_S),
                backoff_max_s=min(one.backoff_max_s, BACKOFF_MAX_S))
        for one in workflow.hooks
    )  # fmt: skip
    return replace(workflow, steps=steps, hooks=called)


def _lines(file: Path) -> Iterator[Any]:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"The file {file} cannot be read: {error.strerror}.", remedy="Correct --items.") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise UsageError(f"{file}:{number}: this is no JSON: {error}.",
                                 remedy="Write one JSON value a line.") from error  # fmt: skip
