"""Definitions: a workflow as it was written (`Written…`), and as it was checked (`Workflow`).

What was written keeps the place of everything in it, so that a mistake can be named by file and line. What was checked
has its steps in an order in which each follows all that it waits for, their functions at hand, and every parameter with
a value; only that can be registered.

Values only. Not here: reading (`reading`, `declaring`), checking (`checking`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.hooks import Hook

DEFAULT_SET = "default"
"""The parameter set that every workflow has: what its definition says."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was written. `line` counts from 1; 0: only the file is known."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that is wrong with a definition; `subject` names the workflow, and its step, as people do."""

    place: Place
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.subject}: {self.message}" if self.subject else f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Method:
    """What a step calls: its name (`module:function`), the function, and what was declared beside it."""

    name: str
    function: Callable[..., Any]
    parameters: type | None = None
    timeout_s: float | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenStep:
    """One step as written. None: not said. `lines` gives the place of a key, of ("parameters", "size") for example."""

    name: str
    method: str | Method
    after: tuple[str, ...] | None = None
    """None: the step before it in the list."""
    timeout_s: float | None = None
    retries: int | None = None
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    breaker_after: int | None = None
    seat: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenWorkflow:
    """A workflow as written. `flawed`: some of it could not be read, and that was said already."""

    id: str
    place: Place
    steps: tuple[WrittenStep, ...]
    name: str = ""
    hooks: tuple[Hook | Mapping[str, Any], ...] = ()
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    flawed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSet:
    """A parameter set as written: by step, what differs from the workflow's own parameters."""

    id: str
    workflow: str
    place: Place
    parameters: Mapping[str, Mapping[str, Any]]
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a checked workflow. `parents` are the places (from 0) of the steps it waits for."""

    name: str
    kind: str
    method: Method
    parents: tuple[int, ...]
    timeout_s: float
    retries: int
    backoff_s: float
    backoff_max_s: float
    breaker_after: int | None
    seat: str
    parameters: Any
    """An instance of `method.parameters`; None when the step takes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow without mistakes. Its first step forks, its last one joins; what is between is as it was written."""

    id: str
    name: str
    place: Place
    steps: tuple[Step, ...]
    hooks: tuple[Hook, ...] = ()

    @property
    def kernel_steps(self) -> list[WorkflowStep]:
        """As the kernel registers it."""
        return [
            WorkflowStep(
                step.kind,
                tuple(later for later, one in enumerate(self.steps) if ix in one.parents),
                attempts_max=step.retries + 1,
                backoff_s=step.backoff_s,
                backoff_max_s=step.backoff_max_s,
                breaker_after=step.breaker_after,
            )
            for ix, step in enumerate(self.steps)
        ]

    @property
    def seats(self) -> dict[str, str]:
        """The resource whose seat a kind's pages need, by kind."""
        return {step.kind: step.seat for step in self.steps if step.seat}

    def step(self, name: str) -> Step | None:
        return next((one for one in self.steps if one.name == name), None)


def kind_of(workflow: str, step: str) -> str:
    """The kind of a step: what a worker's pools, pauses and bounds name it by."""
    return f"{workflow}.{step}"
