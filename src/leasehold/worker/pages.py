"""Pages: running a page function over the steps of one lease, and recording its results as they come.

Results are flushed when their effects grow heavy, when a second has passed, or at the end, so memory stays flat and a
death costs at most what was not flushed. A step whose function raises fails alone; the page goes on with the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from leasehold.db.session import Session
from leasehold.errors import DatabaseUnavailable, HolderGone
from leasehold.kernel import steps
from leasehold.kernel.steps import Verdict
from leasehold.types import StepError, StepLease
from leasehold.worker.board import Board
from leasehold.worker.consumers import failure
from leasehold.worker.kinds import Kind
from leasehold.worker.recording import Ended, record

log = logging.getLogger("leasehold.worker")

FLUSH_BYTES = 8_000_000
FLUSH_S = 1.0


class Page:
    """One leased page under work; the `PageContext` its function sees.

    Args:
        told: called after each flush with the ends recorded and how many of them were lost.
        stopping: asked between steps; when true the rest is released.
    """

    def __init__(
        self,
        kind: Kind,
        leases: Sequence[StepLease],
        session: Session,
        *,
        board: Board | None,
        slot: int,
        told: Callable[[list[Ended], list[Verdict]], None],
        stopping: Callable[[], bool],
        taken_away: Callable[[int], bool],
    ) -> None:
        self.session = session
        self._kind = kind
        self._left = {lease.step_id: lease for lease in leases}
        self._token = leases[0].token
        self._board = board
        self._slot = slot
        self._told = told
        self._stopping = stopping
        self._taken_away = taken_away
        self._current: StepLease | None = None
        self._pending: list[Ended] = []
        self._weight = 0
        self._flushed_at = time.monotonic()
        self._lost = False

    def begin(self, lease: StepLease) -> None:
        self._current = lease
        if self._board is not None:
            self._board.begin(self._slot, lease.token, lease.step_id, self._kind.timeout_s)

    def lost(self) -> bool:
        if not self._lost and self._taken_away(self._token):
            self._lost = True
        return self._lost

    def work(self) -> None:
        """Run the function until every step has ended, was released, or the lease is lost."""
        try:
            while self._left and not self.lost():
                if self._stopping():
                    break
                self._pass()
                self._flush()
            if self._left and not self._lost:
                steps.release(self.session, [(lease.token, step_id) for step_id, lease in self._left.items()])
        except (DatabaseUnavailable, HolderGone) as error:
            log.warning("page of %d '%s' steps given up: %s", len(self._left), self._kind.name, error.message)
        finally:
            if self._board is not None:
                self._board.end(self._slot)

    def _pass(self) -> None:
        """One run of the page function over what is left; ends early when it raises."""
        assert self._kind.run_page is not None
        leases = list(self._left.values())
        self._current = None
        try:
            for index, outcome, weight in self._kind.run_page(self, leases):
                self._add(leases[index], outcome, weight)
                if self._lost or self._stopping():
                    return
            for lease in leases:
                if lease.step_id in self._left:
                    raise RuntimeError(f"the page function of '{self._kind.name}' gave no outcome for a step")
        except (DatabaseUnavailable, HolderGone):
            raise
        except Exception as error:
            broken = failure(error)
            log.debug("a '%s' step raised", self._kind.name, exc_info=True)
            ended = [self._current] if self._current is not None and self._current.step_id in self._left else leases
            for lease in ended:
                if lease.step_id in self._left:
                    self._add(lease, broken, 0)

    def _add(self, lease: StepLease, outcome: StepError | object, weight: int) -> None:
        del self._left[lease.step_id]
        self._current = None
        self._pending.append((lease, outcome))  # type: ignore[arg-type]
        self._weight += weight
        if self._weight > FLUSH_BYTES or time.monotonic() - self._flushed_at > FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending, self._weight = self._pending, [], 0
            verdicts = record(self.session, pending, self._kind.effects)
            if Verdict.LOST in verdicts:
                self._lost = True
            self._told(pending, verdicts)
        self._flushed_at = time.monotonic()
