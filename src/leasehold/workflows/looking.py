"""Looking: what steps of a run gave and have saved, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.workflows.desk import PROGRESS

PACKAGE = "leasehold.workflows"


@dataclass(frozen=True, slots=True)
class Given:
    """What a step gave: any JSON value."""

    step_id: int
    result: Any


@dataclass(frozen=True, slots=True)
class Saved:
    """What a step has saved while it was under work: a checkpoint, or how far it says it is."""

    step_id: int
    name: str
    value: Any
    at: datetime

    @property
    def sentence(self) -> str:
        """For people."""
        if self.name != PROGRESS:
            return f"has saved a checkpoint, '{self.name}'"
        done, total, note = (self.value.get(key) for key in ("done", "total", "note"))
        of = f" of {total:g}" if total is not None else ""
        return f"is at {done:g}{of}{f': {note}' if note else ''}"


def results(session: Session, run_id: int) -> list[Given]:
    """What the steps of a run gave, in their order."""
    return [Given(*row) for row in session.fetch(load(PACKAGE, "run_results"), {"run": run_id})]


def saved(session: Session, run_id: int) -> list[Saved]:
    """What its steps have saved and not given yet, in their order."""
    return [Saved(*row) for row in session.fetch(load(PACKAGE, "run_saved"), {"run": run_id})]
