"""Calling: from a leased step to the function that its group names, and from what that gives to an outcome.

The function and its parameters are the group's, not those of today's files. A stored method is imported only from a
package that this process was told of anyway (by a definition, a module, an entry point): whoever can write a row must
not thereby choose what a worker runs.

What can fail: the function, in any way; that is the worker's to judge. What is wrong around it (a method that is not
here, a result that is no JSON) is a `StepError` that says what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from leasehold.errors import UsageError
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease
from leasehold.workflows.context import AsyncContext, Context, as_json, made
from leasehold.workflows.definition import Method, Workflow
from leasehold.workflows.desk import Desk, Given
from leasehold.workflows.methods import WrongMethod, is_async, resolve
from leasehold.workflows.values import build

RESULT_BYTES_MAX = 1_000_000
"""A result is read by every step that waits for it; what is larger is an artifact."""
AGAIN_S = 30.0
Gone = Callable[[], bool]


class Caller:
    """Calls the functions of steps; one for each process, on any thread.

    Args:
        workflows: the sound definitions of this process; their packages may be imported from.
    """

    def __init__(self, desk: Desk, workflows: Mapping[str, Workflow]) -> None:
        self._desk = desk
        known = [step.method for one in workflows.values() for step in one.steps]
        self._methods = {method.name: method for method in known}
        self._packages = {method.name.partition(":")[0].partition(".")[0] for method in known}

    def work(self, lease: StepLease, timeout_s: float, gone: Gone) -> Outcome:
        """One attempt, on this thread. Raises what the function raises."""
        method, context = self._prepared(lease, timeout_s, gone)
        answer = method.function(context)
        if asyncio.iscoroutine(answer):
            answer = asyncio.run(answer)
        return outcome_of(answer, context)

    async def work_async(self, lease: StepLease, timeout_s: float, gone: Gone) -> Outcome:
        """One attempt of an async function, on this loop."""
        method, context = await asyncio.to_thread(self._prepared, lease, timeout_s, gone)
        if is_async(method.function):
            answer = await method.function(context)
        else:  # an earlier version of the workflow had a plain one
            answer = await asyncio.to_thread(method.function, context)
        return outcome_of(answer, context)

    def _prepared(self, lease: StepLease, timeout_s: float, gone: Gone) -> tuple[Method, Any]:
        setting = self._desk.setting(lease)
        if setting is None:
            raise StepError(
                "no parameter set",
                f"group {lease.group_id} was not opened by a workflow definition",
                remedy="Submit it with `leasehold workflow run`.",
            )
        method = self._method(setting.method)
        parameters, wrong = build(method.parameters, setting.parameters)
        if wrong:
            said = "; ".join(f"{'.'.join(where)}: {message}" for where, message in wrong)
            raise StepError(
                "parameters do not fit",
                f"what its group was opened with does not fit {method.name}: {said}",
                remedy="Install the version that it was submitted with, then retry; or submit it anew.",
            )
        parents = self._desk.results(lease, setting.parents)
        kind = AsyncContext if is_async(method.function) else Context
        return method, made(kind, lease, setting, parameters, parents, timeout_s, self._desk, gone)

    def _method(self, name: str) -> Method:
        if name in self._methods:
            return self._methods[name]
        package = name.partition(":")[0].partition(".")[0]
        if package not in self._packages:
            raise _not_here(f"{name}: no definition that this worker knows calls anything of '{package}'")
        try:
            self._methods[name] = resolve(name)
        except WrongMethod as error:
            raise _not_here(str(error)) from error
        return self._methods[name]


def _not_here(detail: str) -> StepError:
    """Another worker may have it: the step waits, and that is no attempt."""
    remedy = "Start a worker that has it, or cancel the group."
    return StepError("method not here", detail, error_class=ErrorClass.RESOURCE, remedy=remedy, retry_after_s=AGAIN_S)


def outcome_of(answer: Any, context: Context[Any] | AsyncContext[Any]) -> Outcome:
    """What a function returned, as an outcome whose result can be written."""
    if isinstance(answer, (Skip, Snooze, StepError)):
        return answer
    result = answer.result if isinstance(answer, Done) else answer
    try:
        text = None if result is None else as_json(result, "What a step gives", RESULT_BYTES_MAX)
    except UsageError as error:
        return StepError("result cannot be kept", error.message, remedy=error.remedy)
    return Done(Given(text, context.step, dict(context._artifacts)))
