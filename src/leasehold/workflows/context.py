"""The context: what a step function is given, and all that it may use.

    def parse(context: Context[Options]) -> Done: ...
    async def fetch(context: AsyncContext[Options]) -> Done: ...

Both have the same; in an `AsyncContext` what asks the database is awaited. Of what a context saves, a checkpoint stands
at once and the rest with the step's end. A step may run twice (its worker died, its lease was lost); whatever it does
outside the database should name `token`, which only rises, so that a late writer can be refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from leasehold.errors import LeaseLost, UsageError
from leasehold.types import StepLease
from leasehold.workflows.desk import PROGRESS, Desk, Setting

P = TypeVar("P")
PROGRESS_EVERY_S = 0.5
CHECKPOINT = "checkpoint"
CHECKPOINT_BYTES_MAX = 4_000_000
ARTIFACT_BYTES_MAX = 256_000_000


@dataclass(eq=False)
class _Facts(Generic[P]):
    """What a context knows without asking."""

    item: Any
    """The run's item, as it was submitted: any JSON value."""
    parameters: P
    """An instance of the dataclass that the step declares; None when it declares none."""
    parents: Mapping[str, Any]
    """What the steps it waited for gave, by their names."""
    workflow: str
    step: str
    config: bytes
    """The digest of all that this step is worked with (32 bytes): method, parameters, and those of the steps before.
    Equal for equal parameters, so results may be kept under it."""
    step_id: int
    run_id: int
    group_id: int
    attempt: int
    """From 1."""
    token: int
    """Rises with every lease of this step."""
    timeout_s: float
    _lease: StepLease
    _desk: Desk
    _gone: Callable[[], bool]
    _started_s: float = 0.0
    _lost: bool = False
    _told_s: float = float("-inf")

    def __post_init__(self) -> None:
        self._started_s = time.monotonic()
        self._artifacts: dict[str, bytes] = {}

    @property
    def parent(self) -> Any:
        """What the one step it waited for gave."""
        if len(self.parents) != 1:
            raise UsageError(
                f"The step '{self.step}' waits for {len(self.parents)} steps, not for one.",
                remedy="Ask for one of them by its name: context.parents[…].",
            )
        return next(iter(self.parents.values()))

    @property
    def remaining_s(self) -> float:
        """Seconds until this attempt's time is over; below 0 it is."""
        return self._started_s + self.timeout_s - time.monotonic()

    @property
    def cancelled(self) -> bool:
        """Whether the lease was lost, the run was cancelled, or the worker stops: what it returns will be refused, so
        stop. Learned with a heartbeat, or when the database refuses."""
        return self._lost or self._gone()

    def check(self) -> None:
        """Raise LeaseLost when `cancelled`; for loops."""
        if self.cancelled:
            raise LeaseLost(step_id=self.step_id, token=self.token)

    # -- for both forms -----------------------------------------------------------------------------------------------

    def _load(self, name: str, default: Any) -> Any:
        there, value = self._desk.checkpoint(self._lease, name)
        return value if there else default

    def _save(self, value: Any, name: str) -> None:
        if name == PROGRESS:
            raise UsageError(f"A checkpoint cannot be named '{PROGRESS}'.", remedy="Give it another name.")
        self.check()
        text = as_json(value, "A checkpoint", CHECKPOINT_BYTES_MAX)
        if not self._desk.save_checkpoint(self._lease, name, text):
            self._lost = True
            raise LeaseLost(step_id=self.step_id, token=self.token)

    def _progress(self, done: float, total: float | None, note: str) -> None:
        now = time.monotonic()
        if self._lost or (now - self._told_s < PROGRESS_EVERY_S and done != total):
            return
        self._told_s = now
        text = as_json({"done": done, "total": total, "note": note[:500]}, "Progress", CHECKPOINT_BYTES_MAX)
        if not self._desk.save_checkpoint(self._lease, PROGRESS, text):
            self._lost = True

    def _artifact(self, name: str, step: str | None) -> bytes | None:
        if step in (None, self.step) and name in self._artifacts:
            return self._artifacts[name]
        return self._desk.artifact(self.run_id, step or self.step, name)

    def save_artifact(self, name: str, content: bytes) -> None:
        """Keep bytes under a name of this step; written with its end, when it succeeds."""
        if len(content) > ARTIFACT_BYTES_MAX:
            raise UsageError(
                f"An artifact of {len(content):,} bytes is too large; at most {ARTIFACT_BYTES_MAX:,} can be kept.",
                remedy="Keep it in parts, or elsewhere.",
            )
        self._artifacts[name] = bytes(content)


class Context(_Facts[P]):
    """What a plain step function is given."""

    def load(self, default: Any = None, *, name: str = CHECKPOINT) -> Any:
        """What an earlier attempt at this step has saved; *default* when none has."""
        return self._load(name, default)

    def save(self, value: Any, *, name: str = CHECKPOINT) -> None:
        """Keep a JSON value for the next attempt, should this one not succeed. It stands when this returns.

        Raises:
            LeaseLost: the step was taken away; nothing was written.
        """
        self._save(value, name)

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is, for people. At most twice a second is written; call it as often as you like."""
        self._progress(done, total, note)

    def artifact(self, name: str, *, step: str | None = None) -> bytes | None:
        """The artifact of that name, of this step or of another *step* of the run; None when there is none."""
        return self._artifact(name, step)


class AsyncContext(_Facts[P]):
    """What an async step function is given: as `Context`, and what asks the database is awaited."""

    async def load(self, default: Any = None, *, name: str = CHECKPOINT) -> Any:
        return await asyncio.to_thread(self._load, name, default)

    async def save(self, value: Any, *, name: str = CHECKPOINT) -> None:
        await asyncio.to_thread(self._save, value, name)

    async def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        await asyncio.to_thread(self._progress, done, total, note)

    async def artifact(self, name: str, *, step: str | None = None) -> bytes | None:
        return await asyncio.to_thread(self._artifact, name, step)


def made(kind: type[Context[Any]] | type[AsyncContext[Any]], lease: StepLease, setting: Setting, parameters: Any,
         parents: Mapping[str, Any], timeout_s: float, desk: Desk, gone: Callable[[], bool]) -> Any:  # fmt: skip
    """A context of *kind* for one attempt."""
    return kind(
        item=lease.item, parameters=parameters, parents=parents, workflow=setting.workflow, step=setting.step,
        config=setting.config, step_id=lease.step_id, run_id=lease.run_id, group_id=lease.group_id,
        attempt=lease.attempt, token=lease.token, timeout_s=timeout_s, _lease=lease, _desk=desk, _gone=gone,
    )  # fmt: skip


def as_json(value: Any, what: str, bytes_max: int) -> str:
    """*value* as the database keeps it. Raises UsageError for what is no JSON, or too large."""
    try:
        text = orjson.dumps(value)
    except TypeError as error:
        raise UsageError(
            f"{what} must be a JSON value: {error}.",
            remedy="Give dictionaries with text keys, lists, texts, numbers, true, false, None.",
        ) from error
    if len(text) > bytes_max:
        raise UsageError(
            f"{what} of {len(text):,} bytes is too large; at most {bytes_max:,} can be kept.",
            remedy="Keep what is large as an artifact (context.save_artifact), and give its name.",
        )
    if b"\\u0000" in text:
        raise UsageError(f"{what} has the character U+0000 in it, which PostgreSQL cannot keep.", remedy="Take it out.")
    return text.decode()
