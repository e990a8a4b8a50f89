"""The words that cross floors: outcomes a step may return, and why a step failed.

Values only: no I/O, no clock. A step says how it ended by returning one of `Done`, `Skip`, `Snooze`, or by raising or
returning a `StepError`; everything else that can happen to a step (reaped, cancelled, released) is said by the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ErrorClass(StrEnum):
    """Why a step failed, which decides what happens next."""

    TRANSIENT = "transient"
    """May work when tried again: counts as an attempt, backs off."""
    PERMANENT = "permanent"
    """Trying again cannot help: the step fails at once."""
    RESOURCE = "resource"
    """Something it needs is busy or full: tried again later, not an attempt (back-pressure is not failure)."""
    POISON = "poison"
    """It harms who works it (kills, hangs): the step fails at once and is named so."""
    TIMEOUT = "timeout"
    """It exceeded its step timeout: counts as an attempt."""
    HOLDER_DIED = "holder_died"
    """It was the only step its holder held when that died: counts as an attempt."""


class StepError(Exception):
    """A step's failure as a value: class, stable reason, what happened, and what a person can do about it.

    Args:
        reason: a short stable phrase that groups failures ("encrypted", "over max_bytes"); never a path or a number.
        detail: what happened to this one, for people.
        remedy: one sentence; empty when there is nothing to do.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        error_class: ErrorClass = ErrorClass.PERMANENT,
        remedy: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.error_class = error_class
        self.remedy = remedy
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Done:
    """The step succeeded; `result` is what its effects write."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do for this item, and that is no failure: the run ends here, with the reason kept."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: try again after `delay_s`. Not an attempt. `wait_key` names a recipe whose end wakes it sooner."""

    delay_s: float
    why: str = "snooze"
    wait_key: bytes | None = None


Outcome = Done | Skip | Snooze | StepError


Place = tuple[tuple[str, str | int], ...]
"""Where in its file a text stands, from the outside inwards: `(("member", "a/b.eml"), ("part", "2"), ("page", 3))`.

Empty for a file of plain lines. The kinds that our readers use, and how a person sees them, stand in `steps/places.py`;
a reader of yours may add its own.
"""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in points, from the top left corner of the page."""


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a document's text with its provenance.

    `line` is the 1-based line, within `place`, where the block starts; `heading` is the path of headings above it.
    """

    text: str
    line: int
    heading: tuple[str, ...] = ()
    place: Place = ()
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A document inside a document: an entry of an archive, an attachment.

    `place` says where in its container it is. `data` gives its bytes, at most as many as it is told, and raises
    `StepError` when there are more or when they are damaged; it is called once at most, before the next member.
    """

    name: str
    place: Place
    data: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a reader made of a file: its blocks in reading order, its title, and notes about the reading.

    `members` are documents inside it, for whoever reads it to read by their own readers.
    """

    blocks: tuple[Block, ...]
    title: str = ""
    notes: tuple[str, ...] = ()
    members: Iterable[Member] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One searchable piece: text, the lines it came from (1-based, inclusive, within `place`), its heading path.

    `box` holds all of it, when its place is a page.
    """

    text: str
    line_start: int
    line_end: int
    heading: tuple[str, ...] = ()
    place: Place = ()
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class StepLease:
    """One leased step as its function sees it. A value: it may already be stale; every write is checked by token.

    `token` rises with every lease of this step, so it can fence writes to a system outside the database.
    """

    step_id: int
    token: int
    attempt: int
    item: Any = None
    group_id: int = 0

    @property
    def run_id(self) -> int:
        return self.step_id >> 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, as the database has it. `docs/reference/events.md` names them all, with their `data`.

    `event_id` rises with what happened later in one run; `run_id` is None for what is no run's.
    """

    event_id: int
    name: str
    at: datetime
    group_id: int | None = None
    run_id: int | None = None
    workflow: str = ""
    label: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCall:
    """What a hook's function is given: the event, the item of its run (None for an event of a group), and a key.

    `key` is the same in every attempt, and no other call's: an effect that is kept under it happens once, however often
    the call is made. `attempt` counts from 1.
    """

    hook: str
    key: str
    attempt: int
    event: Event
    item: Any = None
