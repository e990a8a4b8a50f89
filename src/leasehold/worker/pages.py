"""Pages: running a page function over the steps of one lease, and recording its results as they come.

Results are flushed when their effects grow heavy, when a second has passed, or at the end, so memory stays flat and a
death costs at most what was not flushed. A step whose function raises fails alone and the page goes on with the rest.
When the function raises before it has said which step it works on, the rest is halved until the culprit is alone: its
neighbours succeed. Unless it raised a `StepError` that may pass (transient, resource, timeout): that is about the page,
and every step that is left ends with it.

A page is meant to take `PAGE_S`. One whose function says which step it works on (`begin`) and that has taken longer
gives back, uncharged, what it has not begun, so that slow steps hold a consumer for no longer than one of them takes
and others may have the rest; the worker then asks for fewer. A function that never says may have worked them all
before it yields the first, and is let alone.

What could not be recorded, or not be given back, is answered to the caller, who tries again: nothing stays held by a
living worker that has forgotten it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from leasehold.db.line import AWAY
from leasehold.db.session import Session
from leasehold.errors import HolderGone
from leasehold.kernel.ends import OUTCOMES, failure
from leasehold.kernel.steps import Verdict
from leasehold.logs import ABOUT, about
from leasehold.types import Done, ErrorClass, Outcome, StepError, StepLease
from leasehold.worker.board import BETWEEN, WHOLE_PAGE, Board
from leasehold.worker.kinds import Kind
from leasehold.worker.recording import Ended, record
from leasehold.worker.tracing import Tracing, word

log = logging.getLogger("leasehold.worker")

PASSES = (ErrorClass.TRANSIENT, ErrorClass.RESOURCE, ErrorClass.TIMEOUT)
"""Said of a whole page, these are no step's fault: a provider is down, or busy."""
FLUSH_BYTES = 8_000_000
FLUSH_S = 1.0
PAGE_S = 2.0
FLUSH_WATCHED_S = 3600.0
"""While results are recorded the keeper waits this long: the database's time is not the step's."""


class _NotRecorded(Exception):
    """The database is away; what was to be recorded is still pending."""


class Page:
    """One leased page under work; the `PageContext` its function sees.

    Args:
        told: called after each flush with what was recorded, the verdicts on it, and for how long each was at work.
        stopping: asked between steps; when true the rest is given back.
        taken_away: whether the lease of this token was taken away.
        tracing: told when the page begins and ends, and how its steps did.
    """

    def __init__(
        self,
        kind: Kind,
        leases: Sequence[StepLease],
        session: Session,
        *,
        board: Board | None,
        slot: int,
        told: Callable[[list[Ended], list[Verdict], list[float]], None],
        stopping: Callable[[], bool],
        taken_away: Callable[[int], bool],
        tracing: Tracing | None = None,
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
        self._tracing = tracing
        self._words: Counter[str] = Counter()
        self._current: StepLease | None = None
        self._begins = self._lost = False
        self._pending: list[Ended] = []
        self._ran_s: list[float] = []
        self._began_s = time.monotonic()
        self._page_began_s, self._n = self._began_s, len(leases)
        self._weight = 0
        self._flushed_at = time.monotonic()

    # -- for the page function ----------------------------------------------------------------------------------------

    def begin(self, lease: StepLease) -> None:
        self._current = lease
        ABOUT.set(lease)
        self._begins = True
        self._began_s = time.monotonic()
        self._show(BETWEEN if self._kind.apart else lease.step_id, self._kind.timeout_s)

    def lost(self) -> bool:
        if not self._lost and self._taken_away(self._token):
            self._lost = True
        return self._lost

    # -- for the worker -----------------------------------------------------------------------------------------------

    def work(self) -> list[tuple[StepLease, Outcome | None]]:
        """Run the function until every step has ended, it has taken long, the worker stops, or the lease is lost.

        Returns:
            What is still to be recorded, or (without an outcome) to be given back.
        """
        ABOUT.set(StepLease(0, self._token, 0))
        tracing = self._tracing
        span = None if tracing is None else tracing.begin_page(self._kind.name, list(self._left.values()))
        try:
            self._narrow(list(self._left.values()))
            self._flush()
        except (*AWAY, HolderGone, _NotRecorded) as error:
            log.warning("a page of '%s' is given up, %d steps not done: %s", self._kind.name, len(self._left), error)
        except Exception:
            log.exception("a page of '%s' broke", self._kind.name)
        finally:
            if tracing is not None:
                tracing.end_page(span, self._words)
            ABOUT.set(None)
            if self._board is not None:
                self._board.end(self._slot)
        return [*self._pending, *((lease, None) for lease in self._left.values())]

    @property
    def per_step_s(self) -> float | None:
        """How long a step took that was worked, recording included; None when that cannot be said for single steps."""
        worked = self._n - len(self._left)
        return (time.monotonic() - self._page_began_s) / worked if self._begins and worked else None

    def _over(self) -> bool:
        return self._stopping() or self.lost() or (self._begins and time.monotonic() - self._page_began_s > PAGE_S)

    def _narrow(self, leases: list[StepLease]) -> None:
        """Run *leases*; by halves, when one of them breaks the function and nobody knows which."""
        if self._over() or self._pass(leases):
            return
        left = [lease for lease in leases if lease.step_id in self._left]
        if len(left) == 1:
            self._add(left[0], self._broken, 0)
        elif left:
            self._narrow(left[: len(left) // 2])
            self._narrow(left[len(left) // 2 :])

    def _pass(self, leases: list[StepLease]) -> bool:
        """Run the page function over *leases*, and again over what a step that raised has left of them.

        False: it raised, and nobody knows for which step.
        """
        while leases and not self._over():
            self._current = None
            self._between()
            try:
                self._results(leases)
            except (*AWAY, HolderGone, _NotRecorded):
                raise
            except (Exception, SystemExit) as error:
                log.debug("a '%s' step raised", self._kind.name, exc_info=True)
                self._broken = failure(error)
                culprit = self._current
                if culprit is None or culprit.step_id not in self._left:
                    if self._broken is not error or self._broken.error_class not in PASSES:
                        return False
                    for lease in [lease for lease in leases if lease.step_id in self._left]:
                        self._add(lease, self._broken, 0)
                else:
                    self._add(culprit, self._broken, 0)
            leases = [lease for lease in leases if lease.step_id in self._left]
        return True

    def _results(self, leases: list[StepLease]) -> None:
        assert self._kind.run_page is not None
        name = self._kind.name
        results: Iterator[tuple[int, Outcome, int]] = iter(self._kind.run_page(self, leases))
        try:
            for index, outcome, weight in results:
                if not 0 <= index < len(leases):
                    raise RuntimeError(f"the page function of '{name}' gave step {index} of {len(leases)}")
                if leases[index].step_id not in self._left:
                    log.error("the page function of '%s' gave a second outcome for a step; the first one counts", name,
                              extra=about(leases[index]))  # fmt: skip
                    continue
                self._add(leases[index], outcome if isinstance(outcome, OUTCOMES) else Done(outcome), weight)
                if self._over():
                    return
        finally:
            if (close := getattr(results, "close", None)) is not None:
                close()
        for lease in leases:
            if lease.step_id in self._left:
                self._add(lease, StepError("no outcome", f"the page function of '{name}' gave none for this step"), 0)

    def _add(self, lease: StepLease, outcome: Outcome, weight: int) -> None:
        del self._left[lease.step_id]
        self._current = None
        ABOUT.set(StepLease(0, self._token, 0))
        if self._tracing is not None:
            self._words[word(outcome)] += 1
        self._pending.append((lease, outcome))
        self._weight += weight
        now = time.monotonic()
        self._ran_s.append(now - self._began_s)
        if self._weight > FLUSH_BYTES or now - self._flushed_at > FLUSH_S:
            self._flush()
            now = time.monotonic()
        self._began_s = now
        self._between()

    def _flush(self) -> None:
        if self._pending:
            self._show(BETWEEN, FLUSH_WATCHED_S)
            try:
                recorded = record(self.session, self._pending, self._kind.effects)
            except Exception as error:
                if not isinstance(error, AWAY):
                    log.exception("a page of '%s' cannot be recorded", self._kind.name)
                raise _NotRecorded(str(error)) from error
            ran_s, self._ran_s = self._ran_s, []
            self._pending, self._weight = [], 0
            verdicts = [verdict for _, _, verdict in recorded]
            self._lost = self._lost or Verdict.LOST in verdicts
            self._told([(lease, outcome) for lease, outcome, _ in recorded], verdicts, ran_s)
        self._flushed_at = time.monotonic()

    # -- for the keeper -----------------------------------------------------------------------------------------------

    def _between(self) -> None:
        """No step is under work just now. A function that never says which one it works on has the time of them all,
        and is suspected as a whole."""
        if self._begins or self._kind.apart:
            self._show(BETWEEN, self._kind.timeout_s)
        else:
            self._show(WHOLE_PAGE, self._kind.timeout_s * max(1, len(self._left)))

    def _show(self, step_id: int, timeout_s: float) -> None:
        if self._board is not None:
            self._board.begin(self._slot, self._token, step_id, timeout_s)
