"""Checking: what was written, against itself and against the functions it names. All mistakes at once.

A workflow is sound when every step's method can be imported and takes what it is given, when the steps wait for each
other without a circle, and when one first step leads to one last step. A set is sound when its workflow is and every
value in it fits. Only sound ones get into the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leasehold.errors import UsageError
from leasehold.kernel.hooks import Hook
from leasehold.workflows.definition import (
    DEFAULT_SET,
    Method,
    Mistake,
    Place,
    Step,
    Workflow,
    WrittenSet,
    WrittenStep,
    WrittenWorkflow,
    kind_of,
)
from leasehold.workflows.methods import WrongMethod, checked, importable, resolve
from leasehold.workflows.reading import NAME, NAME_TOLD
from leasehold.workflows.values import build, near, plain

if TYPE_CHECKING:
    from leasehold.workflows.finding import Catalog

RETRIES, BACKOFF_S, BACKOFF_MAX_S = 2, 1.0, 60.0
STEPS_MAX = 1000
TIMEOUT_MAX_S = 7 * 86_400.0


def check(workflows: Sequence[WrittenWorkflow], sets: Sequence[WrittenSet], catalog: Catalog) -> None:
    """Put what is sound into *catalog*, and what is wrong into its mistakes."""
    first: dict[str, WrittenWorkflow] = {}
    for written in workflows:
        if written.id in first:
            _twice(catalog, f"workflow '{written.id}'", written.place, first[written.id].place)
            continue
        first[written.id] = written
        checker = _Checker(written, catalog.mistakes)
        if (sound := checker.workflow()) is not None:
            catalog.workflows[written.id] = sound
    for one in sets:
        if one.workflow not in first:
            message = f"there is no workflow '{one.workflow}'{near(one.workflow, first)}"
            catalog.mistakes.append(
                Mistake(_place(one.place, one.lines, ("workflow",)), f"parameter set '{one.id}'", message)
            )
        elif one.workflow in catalog.workflows:
            _check_set(one, catalog)


def with_parameters(
    workflow: Workflow, overrides: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Any], list[tuple[tuple[str, ...], str]]]:
    """The parameters of each step under *overrides* (by step), and what is wrong with those."""
    found: list[Any] = []
    wrong: list[tuple[tuple[str, ...], str]] = []
    names = [step.name for step in workflow.steps]
    wrong += [((name,), f"there is no step '{name}'{near(name, names)}") for name in overrides if name not in names]
    for step in workflow.steps:
        given = {**plain(step.parameters), **overrides.get(step.name, {})}
        made, mistakes = build(step.method.parameters, given)
        wrong += [((step.name, *where), message) for where, message in mistakes]
        found.append(made)
    return found, wrong


def _check_set(one: WrittenSet, catalog: Catalog) -> None:
    subject = f"parameter set '{one.id}'"
    place = _place(one.place, one.lines, ("id",))
    of_workflow = catalog.sets.setdefault(one.workflow, {})
    before = len(catalog.mistakes)
    if one.id == DEFAULT_SET:
        message = f"'{DEFAULT_SET}' is what the workflow itself says; give this set another id"
        catalog.mistakes.append(Mistake(place, subject, message))
    elif not NAME.match(one.id):
        catalog.mistakes.append(Mistake(place, subject, f"an id may have {NAME_TOLD}"))
    elif one.id in of_workflow:
        _twice(catalog, f"{subject} of workflow '{one.workflow}'", place, of_workflow[one.id].place)
    _, wrong = with_parameters(catalog.workflows[one.workflow], one.parameters)
    for where, message in wrong:
        at = _place(one.place, one.lines, ("parameters", *where))
        named = f"{subject}, {'.'.join(where)}" if where else subject
        catalog.mistakes.append(Mistake(at, named, message))
    if len(catalog.mistakes) == before:
        of_workflow[one.id] = one


def _twice(catalog: Catalog, subject: str, place: Place, first: Place) -> None:
    catalog.mistakes.append(Mistake(place, subject, f"it is defined a second time; first in {first}"))


def _place(place: Place, lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> Place:
    """The line of *path*, or of the nearest thing around it."""
    while path and path not in lines:
        path = path[:-1]
    return Place(place.file, lines.get(path, 0) or place.line)


class _Checker:
    """Checks one workflow."""

    def __init__(self, written: WrittenWorkflow, mistakes: list[Mistake]) -> None:
        self._written = written
        self._mistakes = mistakes
        self._subject = f"workflow '{written.id}'"

    def workflow(self) -> Workflow | None:
        written, before = self._written, len(self._mistakes)
        if not NAME.match(written.id):
            self._wrong(("id",), f"an id may have {NAME_TOLD}")
        if not written.steps and not written.flawed:
            self._wrong(("steps",), "it has no steps")
        if len(written.steps) > STEPS_MAX:
            self._wrong(("steps",), f"it has {len(written.steps)} steps; at most {STEPS_MAX} can be")
        parents = self._parents()
        order = self._order(parents) if len(self._mistakes) == before else []
        made = [self._step(one) for one in written.steps]
        hooks = self._hooks()
        if written.flawed or len(self._mistakes) > before:
            return None
        place_of = {ix: place for place, ix in enumerate(order)}
        placed = ((made[ix], tuple(sorted(place_of[parent] for parent in parents[ix]))) for ix in order)
        steps = tuple(replace(step, parents=ones) for step, ones in placed if step is not None)
        return Workflow(id=written.id, name=written.name or written.id, place=written.place, steps=steps, hooks=hooks)

    # -- the order ----------------------------------------------------------------------------------------------------

    def _parents(self) -> list[list[int]]:
        """The indexes, as written, of what each step waits for."""
        steps = self._written.steps
        index: dict[str, int] = {}
        for ix, one in enumerate(steps):
            if not NAME.match(one.name):
                self._wrong_step(one, ("name",), f"a step's name may have {NAME_TOLD}")
            if one.name in index:
                self._wrong_step(one, ("name",), "another step has this name already; give one of them another `name`")
            index.setdefault(one.name, ix)
        found: list[list[int]] = []
        for ix, one in enumerate(steps):
            if one.after is None:
                found.append([ix - 1] if ix else [])
                continue
            for name in one.after:
                if name not in index:
                    self._wrong_step(one, ("after",), f"it waits for '{name}', which is no step{near(name, index)}")
            found.append(sorted({index[name] for name in one.after if name in index}))
        return found

    def _order(self, parents: list[list[int]]) -> list[int]:
        """The steps, each after all that it waits for, else as written; [] when that cannot be."""
        steps, order, left = self._written.steps, list[int](), set(range(len(parents)))
        while left:
            free = next((ix for ix in sorted(left) if not left & set(parents[ix])), None)
            if free is None:
                self._wrong(("steps",), f"its steps wait for each other in a circle: {self._circle(parents, left)}")
                return []
            order.append(free)
            left.remove(free)
        followed = {parent for ones in parents for parent in ones}
        ends = [steps[ix].name for ix in order if ix not in followed]
        begins = [steps[ix].name for ix in order if not parents[ix]]
        if len(ends) > 1:
            self._wrong(
                ("steps",), f"it ends in {len(ends)} steps ({', '.join(ends)}); let one last step come after them"
            )
        if len(begins) > 1:
            self._wrong(
                ("steps",), f"it begins with {len(begins)} steps ({', '.join(begins)}); let one come before them"
            )
        return order

    def _circle(self, parents: list[list[int]], left: set[int]) -> str:
        """One circle among the steps that are *left*, as people read it."""
        seen: list[int] = []
        at = min(left)
        while at not in seen:
            seen.append(at)
            at = next(parent for parent in parents[at] if parent in left)
        names = [self._written.steps[ix].name for ix in [*seen[seen.index(at) :], at]]
        return " -> ".join(reversed(names))

    # -- one step -----------------------------------------------------------------------------------------------------

    def _step(self, one: WrittenStep) -> Step | None:
        before = len(self._mistakes)
        method = self._method(one)
        declared = method or Method("", lambda: None)
        timeout_s = one.timeout_s if one.timeout_s is not None else declared.timeout_s
        retries = next(n for n in (one.retries, declared.retries, RETRIES) if n is not None)
        if timeout_s is None and method is not None:
            self._wrong_step(one, (), "it has no timeout: give it timeout_s, or declare one beside the function")
        self._bounds(one, timeout_s, retries)
        parameters, wrong = build(method.parameters, one.parameters) if method is not None else (None, [])
        for where, message in wrong:
            self._wrong_step(one, ("parameters", *where), message)
        if len(self._mistakes) > before or method is None or timeout_s is None:
            return None
        return Step(
            name=one.name, kind=kind_of(self._written.id, one.name), method=method, parents=(), timeout_s=timeout_s,
            retries=retries, backoff_s=one.backoff_s, backoff_max_s=one.backoff_max_s,
            breaker_after=one.breaker_after, seat=one.seat, parameters=parameters,
        )  # fmt: skip

    def _method(self, one: WrittenStep) -> Method | None:
        try:
            if isinstance(one.method, Method):
                return checked(one.method.name, one.method.function)
            return resolve(one.method)
        except WrongMethod as error:
            self._wrong_step(one, ("method",), str(error))
            return None

    def _bounds(self, one: WrittenStep, timeout_s: float | None, retries: int) -> None:
        if timeout_s is not None and not 0 < timeout_s <= TIMEOUT_MAX_S:
            self._wrong_step(
                one, ("timeout_s",), f"timeout_s={timeout_s:g} must be above 0 and at most {TIMEOUT_MAX_S:.0f} seconds"
            )
        if not 0 <= retries <= 999:
            self._wrong_step(one, ("retries",), f"retries={retries} must be between 0 and 999")
        if one.backoff_s < 0:
            self._wrong_step(one, ("backoff_s",), f"backoff_s={one.backoff_s:g} must be 0 or more")
        if one.backoff_max_s < one.backoff_s:
            self._wrong_step(
                one, ("backoff_max_s",), f"backoff_max_s={one.backoff_max_s:g} is less than backoff_s={one.backoff_s:g}"
            )
        if one.breaker_after is not None and not 1 <= one.breaker_after <= 10_000:
            self._wrong_step(one, ("breaker_after",), f"breaker_after={one.breaker_after} must be between 1 and 10000")

    # -- hooks --------------------------------------------------------------------------------------------------------

    def _hooks(self) -> tuple[Hook, ...]:
        found: dict[str, Hook] = {}
        for ix, one in enumerate(self._written.hooks):
            hook = self._hook(one, ("hooks", str(ix)))
            if hook is not None and hook.name in found:
                self._wrong(("hooks", str(ix), "name"), f"two hooks are named '{hook.name}'")
            elif hook is not None:
                found[hook.name] = hook
        return tuple(found.values())

    def _hook(self, one: Hook | Mapping[str, Any], path: tuple[str, ...]) -> Hook | None:
        try:
            hook = one if isinstance(one, Hook) else Hook(**one)
            if not hook.call.startswith(("http://", "https://")):
                importable(hook.call)
        except UsageError as error:
            self._wrong(path, f"{error.message} {error.remedy}")
        except WrongMethod as error:
            self._wrong((*path, "call"), str(error).replace("the method", f"hook '{hook.name}': the function", 1))
        else:
            return hook
        return None

    # -- mistakes -----------------------------------------------------------------------------------------------------

    def _wrong(self, path: tuple[str, ...], message: str) -> None:
        self._mistakes.append(Mistake(_place(self._written.place, self._written.lines, path), self._subject, message))

    def _wrong_step(self, one: WrittenStep, path: tuple[str, ...], message: str) -> None:
        place = _place(self._written.place, one.lines, path)
        named = f", {'.'.join(path[1:])}" if path[:1] == ("parameters",) and len(path) > 1 else ""
        self._mistakes.append(Mistake(place, f"{self._subject}, step '{one.name}'{named}", message))
