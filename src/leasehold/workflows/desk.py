"""The desk: what a step's context asks of the database, and what is written with a step's end.

Reads are plain. A checkpoint is written under the step's token and refused when that is lost; results and artifacts are
written in the transaction that ends the step, for accepted steps only.

What a group is worked with never changes, so it is read once in each process and kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.kernel import steps
from leasehold.types import Done, Outcome, StepLease

PACKAGE = "leasehold.workflows"
SETTINGS_MAX = 1000
"""Groups whose setting is kept; a worker that has met more forgets them all and reads again."""
PROGRESS = "progress"
ARTIFACT_KIND = "workflow"


@dataclass(frozen=True, slots=True)
class Setting:
    """What one step of a group is worked with."""

    workflow: str
    step: str
    method: str
    config: bytes
    parameters: Mapping[str, Any]
    parents: Mapping[str, int]
    """By name, the places (from 0) of the steps it waits for."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a step gave, as it will be written: its result as JSON text (None: none), and its artifacts by name."""

    text: str | None
    step: str = ""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


class ArtifactStore(Protocol):
    """Where artifacts are kept: content by recipe (32 bytes)."""

    def save(self, connection: Connection, artifacts: Mapping[bytes, bytes], kind: str, step_id: int) -> None:
        """Within the caller's transaction."""

    def read(self, connection: Connection, recipe: bytes) -> bytes | None:
        """The content, if it is there."""


class Desk:
    """One for each process; its methods may be called on any thread.

    Args:
        borrow: gives a session for a while.
    """

    def __init__(self, borrow: Callable[[], AbstractContextManager[Session]], store: ArtifactStore) -> None:
        self._borrow = borrow
        self._store = store
        self._settings: dict[int, dict[int, Setting]] = {}
        self._turn = threading.Lock()

    def setting(self, lease: StepLease) -> Setting | None:
        """What this step is worked with; None when its group was not opened by a workflow definition."""
        with self._turn:
            known = self._settings.get(lease.group_id)
        if known is None:
            with self._borrow() as session:
                rows = session.fetch(load(PACKAGE, "group_steps"), (lease.group_id,))
            names = {ix: step for ix, step, *_ in rows}
            known = {
                ix: Setting(
                    workflow, step, method, bytes(config), parameters, {names[parent]: parent for parent in parents}
                )
                for ix, step, workflow, method, config, parameters, parents in rows
            }
            with self._turn:
                if len(self._settings) >= SETTINGS_MAX:
                    self._settings.clear()
                self._settings[lease.group_id] = known
        return known.get(lease.step_id & 1023)

    def results(self, lease: StepLease, parents: Mapping[str, int]) -> dict[str, Any]:
        """What the steps of the same run gave, by name; None of one that gave nothing."""
        if not parents:
            return {}
        ids = {lease.run_id * 1024 + ix: name for name, ix in parents.items()}
        with self._borrow() as session:
            rows = session.fetch(load(PACKAGE, "step_results"), (list(ids),))
        return dict.fromkeys(parents) | {ids[step_id]: result for step_id, result in rows}

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def checkpoint(self, lease: StepLease, name: str) -> tuple[bool, Any]:
        """Whether there is one of that name, and what it holds."""
        with self._borrow() as session:
            rows = session.fetch(load(PACKAGE, "checkpoint_read"), (lease.step_id, name))
        return (True, rows[0][0]) if rows else (False, None)

    def save_checkpoint(self, lease: StepLease, name: str, text: str) -> bool:
        """False when the step is no longer held, and nothing was written."""
        with self._borrow() as session:
            return steps.save_checkpoint(session, lease.token, lease.step_id, name, text)

    # -- artifacts ----------------------------------------------------------------------------------------------------

    def artifact(self, run_id: int, step: str, name: str) -> bytes | None:
        with self._borrow() as session:
            return session.run(lambda connection: self._store.read(connection, recipe_of(run_id, step, name)))

    # -- with the ends of steps ---------------------------------------------------------------------------------------

    def write(self, connection: Connection, ended: Sequence[tuple[StepLease, Outcome]]) -> None:
        """Write what accepted steps gave, in the transaction that ends them."""
        done = [(lease.step_id, outcome.result) for lease, outcome in ended if isinstance(outcome, Done)]
        texts = [
            (step_id, given.text) for step_id, given in done if isinstance(given, Given) and given.text is not None
        ]
        if texts:
            columns = [step_id for step_id, _ in texts], [text for _, text in texts]
            execute(connection, load(PACKAGE, "step_results_write"), columns)
        if done:
            execute(connection, load(PACKAGE, "checkpoints_clear"), ([step_id for step_id, _ in done],))
        for step_id, given in done:
            if isinstance(given, Given) and given.artifacts:
                kept = {
                    recipe_of(step_id >> 10, given.step, name): content for name, content in given.artifacts.items()
                }
                self._store.save(connection, kept, ARTIFACT_KIND, step_id)


def recipe_of(run_id: int, step: str, name: str) -> bytes:
    """Under what an artifact of a run is kept."""
    return hashlib.sha256(orjson.dumps(["workflow artifact", run_id, step, name])).digest()
