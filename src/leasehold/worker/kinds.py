"""Kinds: what a worker can run. A kind is a name, a function, a timeout and how many steps it takes at once.

Two forms. A *step* function (async or plain) gets one `StepLease` and returns an outcome. A *page* function gets many
steps of one lane and yields (index, outcome) as it goes, so that its results are recorded while it works; it runs in a
thread with a session of its own, and its effects commit together with the steps' ends.

Not here: which lane is served (policy), retries (the kernel; a workflow says how many).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from leasehold.db.session import Connection, Session
from leasehold.errors import UsageError
from leasehold.types import Outcome, StepLease

StepFunction = Callable[..., Any]
"""async or plain, of one StepLease; returns Done, Skip, Snooze, StepError, or anything else (taken as Done)."""

Effects = Callable[[Connection, Sequence[tuple[StepLease, Outcome]]], None]
"""Writes what accepted steps produced, in the transaction that records their ends. Called again on a retry."""


class PageContext(Protocol):
    """What a page function may use besides its steps."""

    session: Session

    def begin(self, lease: StepLease) -> None:
        """Say which step is being worked now: its timeout starts, and a death is blamed by proof."""

    def lost(self) -> bool:
        """Whether the page's lease was taken away; then stop."""


PageFunction = Callable[[PageContext, Sequence[StepLease]], Iterator[tuple[int, Outcome, int]]]
"""Yields (index of the step, its outcome, bytes its effects hold in memory)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    name: str
    timeout_s: float
    """For one step. A step in a worker's child process is stopped by killing the child; required, never guessed."""
    run: StepFunction | None = None
    run_page: PageFunction | None = None
    effects: Effects | None = None
    page_max: int = 50
    """Steps a lease covers at most. For a page function also how many it gets at once."""
    prefetch: int = 0
    """Steps leased ahead of free consumers; 0 for slow kinds, so that waiting steps can be taken by others."""
    watched: bool = False
    """`run` is called with a second argument, a function that says whether the step was interrupted or its lease lost:
    how one that cannot be interrupted learns that what it does is for nothing."""
    payload: bool = True
    """Whether `StepLease.item` is needed; False saves a read."""
    apart: bool = False
    """Its steps run in processes of their own: when the worker's process dies, it was none of them."""
    is_async: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if (self.run is None) == (self.run_page is None):
            raise UsageError(f"Kind '{self.name}' needs either `run` or `run_page`.")
        if not self.name or self.timeout_s <= 0:
            raise UsageError(f"Kind '{self.name}' has timeout_s={self.timeout_s}; it must be above 0.")
        if not 1 <= self.page_max <= 500:
            raise UsageError(f"Kind '{self.name}' has page_max={self.page_max}; it must be between 1 and 500.")
        object.__setattr__(self, "is_async", self.run is not None and inspect.iscoroutinefunction(self.run))

    @property
    def paged(self) -> bool:
        return self.run_page is not None

    @property
    def lease_s(self) -> float:
        """The lease's deadline from its start: all its steps one after another, and a margin for recording them."""
        return self.timeout_s * self.page_max + 30.0
