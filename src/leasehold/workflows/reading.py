"""Reading: one YAML file as a workflow or a parameter set, with everything that is wrong with its form.

Only the form: which keys there are, and that a number is a number. What the words mean together is checked later
(`checking`), for YAML and Python alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leasehold.kernel.hooks import EVENTS
from leasehold.workflows import yaml_text
from leasehold.workflows.definition import Mistake, Place, WrittenSet, WrittenStep, WrittenWorkflow
from leasehold.workflows.values import WrongValue, convert, near

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")
NAME_TOLD = "letters, digits, - and _, at most 64 of them, and begin with a letter or digit"
"""No dots, slashes or backslashes: names become parts of kinds, keys and paths."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a definition may have: its type, whether it must be there, and what it means (for the reference)."""

    hint: Any
    meaning: str
    required: bool = False


WORKFLOW_KEYS: dict[str, Key] = {
    "id": Key(str, "Names it: " + NAME_TOLD + ".", required=True),
    "name": Key(str, "What people see. The id without more."),
    "steps": Key(list, "Its steps, at least one.", required=True),
    "hooks": Key(list, "What is called when something has happened to a run or a group."),
}
STEP_KEYS: dict[str, Key] = {
    "name": Key(str, "Names it within the workflow, as an id. The method's last word without more."),
    "method": Key(str, "The function: `module:function`, or a name that an installed package gives it.", required=True),
    "after": Key(str | tuple[str, ...], "The step or the list of steps that it waits for. The step before it in the "
                 "list without more."),
    "timeout_s": Key(float, "Seconds that one attempt may take. Needed, unless the function declares it."),
    "retries": Key(int, "How often it is tried again after an error, 0 to 999. What the function declares, else 2."),
    "backoff_s": Key(float, "The pause before the first retry; it doubles with each. 1 without more."),
    "backoff_max_s": Key(float, "What the pause grows to at most. 60 without more."),
    "breaker_after": Key(int, "Errors alike in a row after which its kind is held back and probed."),
    "seat": Key(str, "A resource of which a page of this step needs a seat: one at a time, everywhere."),
    "parameters": Key(dict, "Values for the parameters that the function declares; those left out have its defaults."),
}  # fmt: skip
HOOK_KEYS: dict[str, Key] = {
    "name": Key(str, "Names it within the workflow: small letters, digits, `_`, `.` and `-`.", required=True),
    "on": Key(str | tuple[str, ...], "The event, or the list of events, that it is called for: "
              + ", ".join(f"`{one}`" for one in EVENTS) + ".", required=True),
    "call": Key(str, "`module:function`, or an address that the event is posted to.", required=True),
    "timeout_s": Key(float, "Seconds that one attempt may take. 30 without more."),
    "attempts_max": Key(int, "How often it is tried in all, 1 to 1000. 5 without more."),
    "backoff_s": Key(float, "The pause before the second attempt; it doubles with each. 2 without more."),
    "backoff_max_s": Key(float, "What the pause grows to at most. 300 without more."),
}  # fmt: skip
SET_KEYS: dict[str, Key] = {
    "id": Key(str, "Names it among the sets of its workflow, as an id of a workflow.", required=True),
    "workflow": Key(str, "The workflow it is for.", required=True),
    "parameters": Key(dict, "By step, the parameters that differ from the workflow's own.", required=True),
}
Lines = dict[tuple[str, ...], int]


def read(text: str, file: str) -> tuple[WrittenWorkflow | WrittenSet | None, list[Mistake]]:
    """What *text* of *file* describes, and all mistakes of form; None when nothing can be made of it."""
    parsed = yaml_text.parse(text)
    mistakes = [Mistake(Place(file, line), "", message) for line, message in parsed.mistakes]
    if not isinstance(parsed.value, dict):
        if not mistakes:
            keys = f"{', '.join(WORKFLOW_KEYS)}, or of a parameter set: {', '.join(SET_KEYS)}"
            mistakes.append(Mistake(Place(file, 1), "", f"this is no definition; expected a mapping with {keys}"))
        return None, mistakes
    form = _Form(file, parsed.lines, mistakes)
    if "workflow" in parsed.value and "steps" not in parsed.value:
        return form.a_set(parsed.value), mistakes
    return form.a_workflow(parsed.value), mistakes


class _Form:
    def __init__(self, file: str, lines: Lines, mistakes: list[Mistake]) -> None:
        self._file, self._lines, self._mistakes = file, lines, mistakes

    def _wrong(self, path: tuple[str, ...], subject: str, message: str) -> None:
        while path and path not in self._lines:
            path = path[:-1]
        self._mistakes.append(Mistake(Place(self._file, self._lines.get(path, 0)), subject, message))

    def _keys(
        self, body: Mapping[str, Any], keys: Mapping[str, Key], path: tuple[str, ...], subject: str
    ) -> dict[str, Any]:
        """The keys of *body* that are known and of the right type."""
        found = {}
        for name, value in body.items():
            if name not in keys:
                self._wrong((*path, name), subject, f"unknown key '{name}'{near(name, keys)}")
            elif value is None:
                self._wrong((*path, name), subject, f"'{name}' has no value")
            else:
                try:
                    found[name] = convert(keys[name].hint, value)
                except WrongValue as error:
                    self._wrong((*path, name), subject, f"'{name}': {error}")
        for name, key in keys.items():
            if key.required and name not in body:
                self._wrong(path, subject, f"the key '{name}' is missing")
        return found

    def a_workflow(self, body: dict[str, Any]) -> WrittenWorkflow | None:
        before = len(self._mistakes)
        name = body.get("id")
        subject = f"workflow '{name}'" if isinstance(name, str) else ""
        found = self._keys(body, WORKFLOW_KEYS, (), subject)
        steps = [self._step(one, ("steps", str(ix)), subject) for ix, one in enumerate(found.get("steps", ()))]
        if "id" not in found:
            return None
        hooks = [self._hook(one, ("hooks", str(ix)), subject) for ix, one in enumerate(found.get("hooks", ()))]
        return WrittenWorkflow(
            id=found["id"],
            name=found.get("name", ""),
            place=Place(self._file, self._lines.get(("id",), 0)),
            steps=tuple(one for one in steps if one is not None),
            hooks=tuple(one for one in hooks if one is not None),
            lines=self._lines,
            flawed=len(self._mistakes) > before,
        )

    def _step(self, body: Any, path: tuple[str, ...], subject: str) -> WrittenStep | None:
        if not isinstance(body, dict):
            self._wrong(path, subject, f"a step must be a mapping with {', '.join(STEP_KEYS)}")
            return None
        name = body.get("name")
        named = f"{subject}, step '{name}'" if isinstance(name, str) else f"{subject}, step {int(path[-1]) + 1}"
        found = self._keys(body, STEP_KEYS, path, named)
        if "method" not in found:
            return None
        after = found.pop("after", None)
        last = found["method"].rpartition(":")[2].rpartition(".")[2]
        depth = len(path)
        return WrittenStep(
            name=found.pop("name", last),
            after=(after,) if isinstance(after, str) else after,
            lines={key[depth:]: line for key, line in self._lines.items() if key[:depth] == path},
            **found,
        )

    def _hook(self, body: Any, path: tuple[str, ...], subject: str) -> dict[str, Any] | None:
        if not isinstance(body, dict):
            self._wrong(path, subject, f"a hook must be a mapping with {', '.join(HOOK_KEYS)}")
            return None
        before = len(self._mistakes)
        found = self._keys(body, HOOK_KEYS, path, f"{subject}, hook {body.get('name', int(path[-1]) + 1)!r}")
        return found if len(self._mistakes) == before else None

    def a_set(self, body: dict[str, Any]) -> WrittenSet | None:
        subject = f"parameter set '{body.get('id')}'"
        found = self._keys(body, SET_KEYS, (), subject)
        if len(found) < len(SET_KEYS):
            return None
        parameters = {}
        for step, values in found["parameters"].items():
            if isinstance(values, dict):
                parameters[step] = values
            else:
                self._wrong(("parameters", step), subject, f"the parameters of '{step}' must be a mapping")
        return WrittenSet(id=found["id"], workflow=found["workflow"], parameters=parameters,
                          place=Place(self._file, self._lines.get(("id",), 0)), lines=self._lines)  # fmt: skip
