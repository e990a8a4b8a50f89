"""Silence: a worker that is alive, claims nothing while work waits, and the sentence that says why.

Nothing fails in such a worker, so nothing would be said: it serves other kinds than what waits, its claims go
unanswered, its loop stands still, everything is paused. The watch runs beside the heartbeat, in the keeper or in the
embedded worker's own thread, so that a worker that hangs is seen too. It reads how the worker stands (`standing`), and
asks the database what waits by the predicates that the claim itself uses.

Evidence before words: silent is who has claimed nothing for `SILENT_S` while one and the same step stayed the oldest
that waits. Work that others take away meanwhile accuses nobody, and neither does a worker whose consumers are all busy.
So the report comes within `SILENT_S` and two looks of the moment when work began to wait: 40 s.

The sentence goes to the log, once, and into `leasehold.silence`, where status and doctor read it; it goes from there
when the worker claims again, or nothing waits any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from leasehold.db.line import Line
from leasehold.kernel import hooks, silences, steps
from leasehold.kernel.silences import Waiting
from leasehold.worker.standing import Doing, Standing

log = logging.getLogger("leasehold.worker")

SILENT_S = 30.0
LOOK_EVERY_S = 5.0
STILL_S = 5.0
"""An event loop that had no turn for so long."""
UNANSWERED_S = 10.0


@dataclass(slots=True)
class Case:
    """What speaks against one worker: since when, by which waiting step, and whether it has been said."""

    reason: str
    oldest: int
    claimed_s: float
    since_s: float
    said: bool = False


class Watch:
    """One for each process that keeps holders. `look` may be called as often as one likes.

    Args:
        standings: the living holders kept here, and how each stands.
    """

    def __init__(self, line: Line, standings: Callable[[], Mapping[int, Standing]]) -> None:
        self._line = line
        self._standings = standings
        self._cases: dict[int, Case] = {}
        self._look_at = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        standings = self._standings()
        quiet = {one: standing for one, standing in standings.items() if now - standing.claimed_s > LOOK_EVERY_S}
        waiting = silences.waiting(self._line) if quiet else []
        accused = {}
        for holder_id, standing in quiet.items():
            found = accusation(standing, waiting, now, self._offered)
            if found is not None:
                accused[holder_id] = self._continued(holder_id, standing, found, now)
        self._say(accused, now)

    def _offered(self, kinds: Sequence[str]) -> bool:
        """Whether a look of such a worker would find a lane, by the very statement that it uses."""
        return any(not lane.full for lane in steps.lanes(self._line, list(kinds)))

    def _continued(self, holder_id: int, standing: Standing, found: tuple[str, int], now: float) -> Case:
        reason, oldest = found
        case = self._cases.get(holder_id)
        if case is not None and (case.oldest, case.claimed_s) == (oldest, standing.claimed_s):
            if case.reason != reason:
                case.reason, case.said = reason, False
            return case
        return Case(reason, oldest, standing.claimed_s, now)

    def _say(self, accused: dict[int, Case], now: float) -> None:
        due = {one: case for one, case in accused.items() if not case.said and now - case.since_s >= SILENT_S}
        over = [one for one, case in self._cases.items() if case.said and one not in accused]
        over += [one for one, case in accused.items() if not case.said and self._was_said(one) and one not in due]
        if due or over:
            silences.note(self._line, {**dict.fromkeys(over), **{one: case.reason for one, case in due.items()}})
        for holder_id, case in due.items():
            case.said = True
            log.warning("worker %d is alive and claims nothing while work waits: %s", holder_id, case.reason)
        self._cases = accused

    def _was_said(self, holder_id: int) -> bool:
        case = self._cases.get(holder_id)
        return case is not None and case.said


def accusation(
    standing: Standing, waiting: Sequence[Waiting], now: float, offered: Callable[[Sequence[str]], bool]
) -> tuple[str, int] | None:
    """Why this worker claims nothing though something waits, and the oldest step that does; None: it does its work."""
    waiting = [one for one in waiting if _its_business(one.kind, standing.kinds)]
    if not waiting or standing.doing in (Doing.BUSY, Doing.ALONE, Doing.DRAINED):
        return None
    mine = [one for one in waiting if one.kind in standing.kinds]
    about = mine or list(waiting)
    return _reason(standing, mine, about, now, offered), min(one.oldest for one in about)


def _its_business(kind: str, serves: Sequence[str]) -> bool:
    """Calls of hooks have workers of their own, who serve nothing else: neither sort is to blame for what the other's
    work waits for."""
    if kind == hooks.KIND:
        return kind in serves
    return set(serves) != {hooks.KIND}


def _reason(
    standing: Standing,
    mine: Sequence[Waiting],
    about: Sequence[Waiting],
    now: float,
    offered: Callable[[Sequence[str]], bool],
) -> str:
    kinds = ", ".join(sorted({one.kind for one in about}))
    held_back = "; ".join(sorted({one.held_back for one in mine if one.held_back}))
    told = (
        (
            now - standing.pulsed_s > STILL_S,
            "its process stands still: stopped, or a step keeps the interpreter to itself",
        ),
        (not mine, f"it does not serve what waits ({kinds}); it serves {', '.join(standing.kinds)}"),
        (standing.doing is Doing.FAILING, "its claims fail; its log has the error"),
        (
            standing.doing is Doing.ASKING and now - standing.asked_s > UNANSWERED_S,
            "its claim gets no answer from the database",
        ),
        (standing.doing is Doing.FULL, "it cannot record the ends of its steps, and claims nothing until it can"),
        (all(one.held_back for one in mine), f"all that waits for it is held back: {held_back}"),
    )
    for holds, reason in told:
        if holds:
            return reason
    if not offered(standing.kinds):
        return f"what waits for it ({kinds}) is held back by a limit"
    return f"it looks and takes nothing, though {kinds} is ready"
