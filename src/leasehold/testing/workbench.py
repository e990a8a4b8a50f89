"""The workbench: steps and workflows of yours, run in a test, on a real database, one step after another.

    def test_cut_keeps_the_first_letters(workbench):
        end = workbench.step(texts.cut, parameters=Cut(width=3), parents={"read": "slate"})
        assert end.result == "sla"

    def test_a_report_has_both(workbench):
        end = workbench.run("report", {"text": "slate roof"})
        assert end.results["join"] == {"cut": "slate", "count": 2}

The kernel's own verbs decide what comes next, and the real context is given; only the worker is missing. Everything
runs in the test's thread, so a breakpoint is where you set it. The database's clock stands still but for pauses: a
backoff or a snooze is over at once, however long it is.

`step` lets through whatever your function raises. `run` and `work` record it as a worker does, and try again.

Not here: timeouts (`context.remaining_s` counts, nobody stops a function), processes, what a heartbeat would say. For
those let `leasehold worker` work, or `leasehold chaos --workflow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from leasehold.artifacts.named import NamedArtifacts
from leasehold.db.pool import Pool
from leasehold.db.session import Connection, Session
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.kernel import checks, groups, holders, runs, steps
from leasehold.kernel.ends import end_of, failure
from leasehold.kernel.steps import LaneRequest
from leasehold.testing.clock import Clock
from leasehold.types import Done, Outcome, StepError, StepLease
from leasehold.workflows import parameter_sets, submitting
from leasehold.workflows.calling import Caller
from leasehold.workflows.checking import check
from leasehold.workflows.declaring import WORKFLOW, method_of
from leasehold.workflows.definition import DEFAULT_SET, Place, Workflow, WrittenStep, WrittenWorkflow
from leasehold.workflows.desk import Desk, Given
from leasehold.workflows.finding import Catalog
from leasehold.workflows.values import plain

HOLDS_S = 10 * 365 * 86_400.0
TURNS_MAX = 100_000
"""Steps in one call of `work`; a step that snoozes for ever ends here."""


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How one step ended: its outcome, and the artifacts it kept, by name."""

    outcome: Outcome
    artifacts: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def result(self) -> Any:
        """What it gave. Raises AssertionError when it did not succeed."""
        assert isinstance(self.outcome, Done), f"it did not succeed: {self.outcome!r}"
        return self.outcome.result


@dataclass(frozen=True, slots=True)
class Attempt:
    """One end of one step of a run."""

    step: str
    attempt: int
    ended: str
    reason: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended: succeeded, failed or cancelled; what its steps gave, by name; every attempt, in order."""

    item: Any
    ended: str
    results: Mapping[str, Any]
    attempts: tuple[Attempt, ...]

    @property
    def reason(self) -> str | None:
        """Why it failed or was skipped."""
        return next((one.reason for one in self.attempts if one.ended in ("failed", "cancelled")), None)


class Workbench:
    """Runs steps and workflows on the database of *session*.

    Args:
        catalog: gives the workflows that are run by their names; asked when one is.
    """

    def __init__(self, session: Session, catalog: Callable[[], Catalog]) -> None:
        self.session = session
        self.clock = Clock(session).hold()
        self._catalog = catalog
        self._sessions: Pool[Session] = Pool(lambda: Session(session.target, application_name="workbench"), 2)
        self._desk = Desk(self._sessions.borrow, NamedArtifacts())
        self._holder = holders.join(session, kind="worker", name="workbench", ttl_s=HOLDS_S)
        self._claims = 0

    def close(self) -> None:
        self._sessions.close()

    # -- one step -----------------------------------------------------------------------------------------------------

    def step(
        self,
        function: Callable[..., Any],
        item: Any = None,
        *,
        parameters: Any = None,
        parents: Mapping[str, Any] | None = None,
        artifacts: Mapping[tuple[str, str], bytes] | None = None,
        attempt: int = 1,
        checkpoint: Any = None,
        timeout_s: float = 60.0,
    ) -> StepEnd:
        """Run one step function once.

        Args:
            item: the run's item, any JSON value.
            parameters: an instance of the dataclass that the step declares, or a mapping; its defaults without more.
            parents: what the steps before it gave, by their names.
            artifacts: what they kept, by (step, name).
            attempt: which attempt it believes to be.
            checkpoint: what an earlier attempt has saved.

        Raises:
            Whatever the function raises, but a StepError, which is an outcome.
            UsageError: parameters that do not fit.
        """
        given: dict[str, Any] = {name: None for name, _ in artifacts or {}} | dict(parents or {})
        lease, workflow = self._before(function, item, _plain(parameters), given, artifacts or {}, timeout_s)
        if checkpoint is not None:
            self._desk.save_checkpoint(lease, "checkpoint", _json(checkpoint))
        lease = StepLease(lease.step_id, lease.token, attempt, item, lease.group_id)
        try:
            outcome = self._call({workflow.id: workflow}, lease, timeout_s)
        except StepError as error:
            outcome = error
        self._finish(lease, outcome)
        gave = outcome.result if isinstance(outcome, Done) else None
        return StepEnd(_shown(outcome), dict(gave.artifacts) if isinstance(gave, Given) else {})

    def _before(
        self, function: Callable[..., Any], item: Any, parameters: Mapping[str, Any], parents: Mapping[str, Any],
        artifacts: Mapping[tuple[str, str], bytes], timeout_s: float,
    ) -> tuple[StepLease, Workflow]:  # fmt: skip
        """The lease of the step, in a run whose steps before it have ended as *parents* says."""
        own = method_of(function)
        name = getattr(function, "__name__", "step")
        name = name if name not in parents else f"{name}_itself"
        first = ("begin",) if len(parents) > 1 else ()
        written = [_stand_in(one, ()) for one in first] + [_stand_in(one, first) for one in parents]
        written.append(
            WrittenStep(name=name, method=own, after=tuple(parents), timeout_s=timeout_s, parameters=parameters)
        )
        workflow = _checked(WrittenWorkflow(id="one-step", place=Place("workbench"), steps=tuple(written)))
        submitting.submit(self.session, workflow, [item])
        while (lease := self._claim([one.kind for one in workflow.steps])) is not None:
            step = workflow.steps[lease.step_id & 1023]
            if step.name == name:
                return lease, workflow
            kept = {key: content for (of, key), content in artifacts.items() if of == step.name}
            self._finish(lease, Done(Given(_json(parents.get(step.name)), step.name, kept)))
        raise AssertionError("the step was not released; this is a defect of the workbench")

    # -- runs and workflows -------------------------------------------------------------------------------------------

    def run(self, workflow: str | Callable[..., Any], item: Any, **options: Any) -> RunEnd:
        """One run of a workflow, to its end; *options* as of `work`."""
        return self.work(workflow, [item], **options)[0]

    def work(
        self,
        workflow: str | Callable[..., Any],
        items: Iterable[Any],
        *,
        parameters: str | Mapping[str, Mapping[str, Any]] = DEFAULT_SET,
    ) -> list[RunEnd]:
        """A whole workflow: a run for each of *items*, to their ends, in their order.

        Args:
            workflow: its id, or the function that `@workflow` stands on.
            parameters: the name of a parameter set, or by step what differs from the workflow's own.

        Raises:
            WrongDefinitions: definitions are wrong.
            NotFound: there is no such workflow or parameter set.
            AssertionError: a step snoozes for ever; or what the kernel promises does not hold afterwards.
        """
        chosen, catalog = self._chosen(workflow)
        overrides = catalog.overrides(chosen.id, parameters) if isinstance(parameters, str) else parameters
        one = parameter_sets.of(chosen, overrides)
        group = submitting.submit(self.session, chosen, items, parameters=one, set_name=None)
        self._drive(group.group_id, chosen)
        broken = checks.violations(self.session)
        assert broken == [], broken
        return self._ends(group.group_id, chosen)

    def _chosen(self, workflow: str | Callable[..., Any]) -> tuple[Workflow, Catalog]:
        if isinstance(workflow, str):
            catalog = self._catalog()
            if workflow not in catalog.workflows:
                catalog.require_sound()
            return catalog.workflow(workflow), catalog
        written = getattr(workflow, WORKFLOW, None)
        if not isinstance(written, WrittenWorkflow):
            raise UsageError(
                f"{workflow!r} is no workflow.", remedy="Give its id, or a function that @workflow stands on."
            )
        return _checked(written), Catalog()

    def _drive(self, group_id: int, workflow: Workflow) -> None:
        kinds = [step.kind for step in workflow.steps]
        timeouts = {step.kind: step.timeout_s for step in workflow.steps}
        for _ in range(TURNS_MAX):
            lease = self._claim(kinds)
            if lease is not None:
                timeout_s = timeouts[workflow.steps[lease.step_id & 1023].kind]
                try:
                    outcome = self._call({workflow.id: workflow}, lease, timeout_s)
                except Exception as error:
                    outcome = failure(error)
                self._finish(lease, outcome)
                continue
            groups.sweep_cancelled(self.session)
            groups.fold(self.session, group_id)
            state = groups.state(self.session, group_id)
            if state is None or state.completed:
                return
            moved, next_s = steps.promote(self.session)
            if not moved:
                assert next_s is not None, f"group {group_id} waits for nothing that comes: {state}"
                self.clock.advance(next_s + 0.001)
        raise AssertionError(f"{TURNS_MAX} steps have ended, and group {group_id} has not: does one snooze for ever?")

    def _ends(self, group_id: int, workflow: Workflow) -> list[RunEnd]:
        ids = [row[0] for row in self.session.fetch(load("leasehold.testing", "runs_of_group"), (group_id,))]
        found = []
        for fact in runs.facts(self.session, ids):
            names = {fact.run_id * 1024 + ix: step.name for ix, step in enumerate(workflow.steps)}
            rows = self.session.fetch(load("leasehold.workflows", "step_results"), (list(names),))
            attempts = tuple(
                Attempt(names[one.step_id], one.attempt, one.ended, one.reason, one.detail)
                for one in runs.outcomes(self.session, fact.run_id)
                if one.attempt  # what never began was cancelled with its run
            )
            results = {names[step_id]: result for step_id, result in rows}
            found.append(RunEnd(fact.item, str(fact.ended), results, attempts))
        return found

    # -- the kernel's verbs -------------------------------------------------------------------------------------------

    def _claim(self, kinds: Sequence[str]) -> StepLease | None:
        lanes = sorted(steps.lanes(self.session, kinds), key=lambda lane: -lane.stage)
        if not lanes:
            return None
        self._claims += 1
        request = LaneRequest(lanes[0].lane_id, 1, 0, HOLDS_S, items=True)
        if lanes[0].probe:
            claimed = steps.claim_probe(self.session, self._holder, self._claims, request)
        else:
            claimed = steps.claim(self.session, self._holder, self._claims, [request])
        for lease in claimed.leases:
            (step_id, attempt), items = lease.steps[0], lease.items or (None,)
            return StepLease(step_id, lease.token, attempt, items[0], lanes[0].group_id)
        return None

    def _call(self, workflows: Mapping[str, Workflow], lease: StepLease, timeout_s: float) -> Outcome:
        return Caller(self._desk, workflows).work(lease, timeout_s, lambda: False)

    def _finish(self, lease: StepLease, outcome: Outcome) -> None:
        def end(connection: Connection) -> None:
            if steps.accept(connection, [(lease.token, lease.step_id)]):
                self._desk.write(connection, [(lease, outcome)])
            steps.finish(connection, [end_of(lease, outcome)])

        self.session.run(end)


def _stand_in(name: str, after: tuple[str, ...]) -> WrittenStep:
    return WrittenStep(name=name, method=method_of(stand_in), after=after, timeout_s=60.0)


def stand_in(context: Any) -> None:
    """The method of a step that only gives what a test says it gave; never called."""


def _checked(written: WrittenWorkflow) -> Workflow:
    catalog = Catalog()
    check([written], [], catalog)
    catalog.require_sound()
    return catalog.workflow(written.id)


def _plain(parameters: Any) -> Mapping[str, Any]:
    return parameters if isinstance(parameters, Mapping) else plain(parameters)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _shown(outcome: Outcome) -> Outcome:
    """As the function returned it, but for what JSON changes."""
    if isinstance(outcome, Done) and isinstance(outcome.result, Given):
        return Done(None if outcome.result.text is None else orjson.loads(outcome.result.text))
    return outcome
