"""The kinds of workflows that people define, beside those of documents: named by `module:function` in a keeper's
settings.

A kind is a step of a workflow, `report.cut`. It runs whatever function the group of a leased step was submitted with;
today's definitions only say which kinds there are, and how long an attempt may take. Kinds that only queued runs of an
earlier version have are worked too, with the timeout they were submitted with.

A definition that is wrong stops the whole worker at its start, with all mistakes: half of the workflows would look like
all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from leasehold.artifacts.named import NamedArtifacts
from leasehold.db.line import Line
from leasehold.db.pool import Pool
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.errors import LeaseholdError, UsageError
from leasehold.types import Outcome, StepLease
from leasehold.worker import documents
from leasehold.worker.kinds import Kind
from leasehold.workflows.calling import Caller, Gone
from leasehold.workflows.definition import Workflow
from leasehold.workflows.desk import Desk
from leasehold.workflows.finding import Catalog, Places, entry_points, find
from leasehold.workflows.methods import is_async

FACTORY = "leasehold.worker.workflows:build"
PLACES = "workflows"
SESSIONS = 2
"""For what contexts ask, in each process; a question takes a millisecond, and others wait for their turn."""
LOOK_S = 120.0


def build(target: Target, options: dict[str, Any]) -> list[Kind]:
    """The kinds of documents, and those of the workflows at `options["workflows"]` (as of `Places`)."""
    rest = {name: value for name, value in options.items() if name != PLACES}
    found = kinds(target, places_of(options[PLACES]))
    if found:
        os.dup2(2, 1)  # what steps print, nobody would see: a child's standard output is the null device
    return [*documents.build(target, rest), *found]


def kinds(target: Target, places: Places) -> list[Kind]:
    """The kinds of the workflows at *places*, for a worker on *target*.

    Raises:
        WrongDefinitions: some are wrong.
    """
    catalog = find(places)
    catalog.require_sound()
    if not catalog.workflows:
        return []
    sessions: Pool[Line] = Pool(lambda: Line(target, application_name="leasehold steps"), SESSIONS)
    desk = Desk(sessions.borrow, NamedArtifacts())
    caller = Caller(desk, catalog.workflows)
    made = {step.kind: _kind(step.kind, step.timeout_s, caller, desk, asynchronous=is_async(step.method.function))
            for one in catalog.workflows.values() for step in one.steps}  # fmt: skip
    with sessions.borrow() as session:
        for name, timeout_s in earlier(session, catalog.workflows):
            if name not in made:
                made[name] = _kind(name, timeout_s, caller, desk, asynchronous=False)
    return list(made.values())


def earlier(session: Session, workflows: dict[str, Workflow]) -> list[tuple[str, float]]:
    """The kinds that open groups of these workflows have, and their timeouts."""
    return [(kind, float(timeout_s)) for kind, timeout_s in
            session.fetch(load("leasehold.workflows", "kinds_open"), (list(workflows),))]  # fmt: skip


def _kind(name: str, timeout_s: float, caller: Caller, desk: Desk, *, asynchronous: bool) -> Kind:
    async def run_async(lease: StepLease, gone: Gone) -> Outcome:
        return await caller.work_async(lease, timeout_s, gone)

    def run(lease: StepLease, gone: Gone) -> Outcome:
        return caller.work(lease, timeout_s, gone)

    chosen = run_async if asynchronous else run
    return Kind(name=name, timeout_s=timeout_s, run=chosen, effects=partial(_write, desk), watched=True)


def _write(desk: Desk, connection: Any, ended: Any) -> None:
    desk.write(connection, ended)


# -- for a keeper, which imports nobody's code ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Looked:
    """What another process found at some places."""

    workflows: tuple[str, ...]
    kinds: tuple[str, ...]


def look(places: Places) -> Looked:
    """Which kinds there are at *places*, found by a process of its own that ends with it. Nothing is started when there
    is nothing to look at.

    Raises:
        UsageError: definitions are wrong (all mistakes are in it), or that process ended without an answer.
    """
    if not (places.folder or places.modules or (places.installed and entry_points())):
        return Looked((), ())
    words = [sys.executable, "-P", "-m", "leasehold.worker.workflows"]
    try:
        done = subprocess.run(words, input=json.dumps(asdict(places)), stdout=subprocess.PIPE, text=True,
                              timeout=LOOK_S, check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"Importing the workflow definitions took longer than {LOOK_S:.0f} s.") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise UsageError(
            f"Importing the workflow definitions ended the process that did it (exit {done.returncode}).",
            remedy="Run `leasehold workflow validate`, and read what was printed above.",
        ) from None
    if "error" in answer:
        raise UsageError(answer["error"], remedy=answer["remedy"])
    return Looked(tuple(answer["workflows"]), tuple(answer["kinds"]))


def places_of(given: dict[str, Any]) -> Places:
    """Places that went through JSON."""
    return Places(folder=given["folder"], modules=tuple(given["modules"]), installed=given["installed"])


def main() -> None:
    """Entry of `python -m leasehold.worker.workflows`; started by `look` only. What is imported may print."""
    answer_to, sys.stdout = sys.stdout, sys.stderr
    try:
        catalog = find(places_of(json.load(sys.stdin)))
        catalog.require_sound()
        answer: dict[str, Any] = _answer(catalog)
    except LeaseholdError as error:
        answer = {"error": error.message, "remedy": error.remedy}
    print(json.dumps(answer), file=answer_to, flush=True)


def _answer(catalog: Catalog) -> dict[str, Any]:
    return {"workflows": list(catalog.workflows),
            "kinds": [step.kind for one in catalog.workflows.values() for step in one.steps]}  # fmt: skip


if __name__ == "__main__":
    main()
