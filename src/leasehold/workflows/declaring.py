"""Declaring in Python: `@step` beside a function, `@workflow` on a function that lays out the steps.

    @dataclass(frozen=True)
    class Cut:
        width: int = 20

    @step(parameters=Cut, timeout_s=30)
    def cut(context: Context[Cut]) -> Done:
        return Done([context.item["text"][: context.parameters.width]])

    @workflow("report", name="A report of each text")
    def report(flow: Flow) -> None:
        first = flow.step(read)
        flow.step(join, after=[flow.step(cut, after=first), flow.step(count, after=first)])

Neither changes the function it stands on: a step can be called like any other function. What is declared is checked
with everything else (`checking`); only what cannot be noted at all raises here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from leasehold.errors import UsageError
from leasehold.workflows.definition import Method, Place, WrittenStep, WrittenWorkflow

F = TypeVar("F", bound=Callable[..., Any])
STEP, WORKFLOW = "__leasehold_step__", "__leasehold_workflow__"


def step(
    *, parameters: type | None = None, timeout_s: float | None = None, retries: int | None = None
) -> Callable[[F], F]:
    """Declare what a step function takes.

    Args:
        parameters: a frozen dataclass; the function's context then has an instance of it.
        timeout_s: how long one attempt may take, unless a workflow says otherwise.
        retries: how often it is tried again after an error, unless a workflow says otherwise; 2 without either.
    """

    def declare(function: F) -> F:
        declared = Method(name_of(function), function, parameters, timeout_s, retries)
        setattr(function, STEP, declared)
        return function

    return declare


def method_of(function: Callable[..., Any]) -> Method:
    """What is declared beside *function*; a function without a declaration takes no parameters."""
    declared = getattr(function, STEP, None)
    return declared if isinstance(declared, Method) else Method(name_of(function), function)


def name_of(function: Callable[..., Any]) -> str:
    """`module:function`, by which every process can find it again.

    Raises:
        UsageError: a lambda, a function within a function, an object: no other process could import it.
    """
    name, module = getattr(function, "__qualname__", "<object>"), getattr(function, "__module__", "")
    if "<" in name or not module:
        raise UsageError(f"{function!r} cannot be a step: other processes could not import it.",
                         remedy="Write it with `def` at the top of a module.")  # fmt: skip
    return f"{module}:{name}"


class Flow:
    """The steps of a workflow while they are laid out."""

    def __init__(self) -> None:
        self.steps: list[WrittenStep] = []

    def step(
        self,
        function: Callable[..., Any] | str,
        *,
        name: str | None = None,
        after: str | Sequence[str] | None = None,
        timeout_s: float | None = None,
        retries: int | None = None,
        backoff_s: float = 1.0,
        backoff_max_s: float = 60.0,
        breaker_after: int | None = None,
        seat: str = "",
        parameters: Mapping[str, Any] | None = None,
    ) -> str:
        """Add a step; its name, for others to come `after` it.

        Args:
            function: the function, or its name as in YAML.
            name: its own one without more; two steps may call one function under two names.
            after: the step or steps that it waits for; the one added before it without more.
            seat: the resource whose seat its pages need: one holder at a time, on whichever machine.
        """
        method: str | Method = function if isinstance(function, str) else method_of(function)
        called = name or (function.rpartition(":")[2] if isinstance(function, str) else function.__name__)
        self.steps.append(
            WrittenStep(
                name=called,
                method=method,
                after=None if after is None else (after,) if isinstance(after, str) else tuple(after),
                timeout_s=timeout_s,
                retries=retries,
                backoff_s=backoff_s,
                backoff_max_s=backoff_max_s,
                breaker_after=breaker_after,
                seat=seat,
                parameters=dict(parameters or {}),
                lines={(): _line_outside()},
            )
        )
        return called


def workflow(id: str, *, name: str = "", hooks: Sequence[Any] = ()) -> Callable[[F], F]:
    """Declare a workflow by the function that lays out its steps; it is called once, here."""

    def declare(lay_out: F) -> F:
        flow = Flow()
        lay_out(flow)
        code = lay_out.__code__
        place = Place(code.co_filename, code.co_firstlineno)
        written = WrittenWorkflow(id=id, name=name, place=place, steps=tuple(flow.steps), hooks=tuple(hooks))
        setattr(lay_out, WORKFLOW, written)
        return lay_out

    return declare


def _line_outside() -> int:
    """The line that called `Flow.step`."""
    frame = inspect.currentframe()
    caller = frame.f_back.f_back if frame is not None and frame.f_back is not None else None
    return caller.f_lineno if caller is not None else 0
