"""Recording: how the ends of steps, and their effects, reach the database.

Effects and ends commit together: first the accepted set is asked for (which locks the leases), then effects are written
for exactly those, then the steps are finished. A row that the database or the effects refuse is bisected out and fails
alone, in their own words; the rest of the page is kept.

Authoritative: the verdicts. A step that is lost has written nothing. May be sent again as a whole.

What can fail: the database may be away (`line.AWAY`); then nothing is known, and the same ends are recorded again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from leasehold.db.line import AWAY, over_a_limit
from leasehold.db.session import Connection, Session
from leasehold.errors import LeaseholdError
from leasehold.kernel import steps
from leasehold.kernel.ends import AGAIN, end_of
from leasehold.kernel.steps import End, Finished, Room, Verdict
from leasehold.logs import about
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease
from leasehold.worker import tallies
from leasehold.worker.kinds import Effects

log = logging.getLogger("leasehold.worker")

Ended = tuple[StepLease, Outcome]
Recorded = tuple[StepLease, Outcome, Verdict]

REFUSED = "refused by the database"
GivenUp = frozenset[tuple[int, int]]
"""(step, token) of errors after which the database lets a step fail: they were its last attempts."""


def given_up(session: Session, recorded: Sequence[Recorded]) -> GivenUp:
    """Which of the errors just recorded were their steps' last. Only the rows know; asked only when somebody counts."""
    errors = [(lease.step_id, lease.token) for lease, outcome, _ in recorded if _again(outcome)]
    try:
        return frozenset(steps.failed_ends(session, errors)) if errors else frozenset()
    except AWAY as error:
        log.debug("errors that were a step's last are counted as retried: %s", error)
        return frozenset()


def outcome_word(lease: StepLease, outcome: Outcome, verdict: Verdict, over: GivenUp) -> str:
    """By which word of `tallies.OUTCOMES` a recorded step left this worker."""
    if verdict is Verdict.LOST:
        return tallies.LOST
    if isinstance(outcome, Done):
        return tallies.SUCCEEDED
    if isinstance(outcome, Skip):
        return tallies.SKIPPED
    if isinstance(outcome, Snooze) or outcome.error_class is ErrorClass.RESOURCE:
        return tallies.SNOOZED
    return tallies.RETRIED if _again(outcome) and (lease.step_id, lease.token) not in over else tallies.FAILED


def timed_out(outcome: Outcome, verdict: Verdict) -> bool:
    return isinstance(outcome, StepError) and outcome.error_class is ErrorClass.TIMEOUT and verdict is not Verdict.LOST


def _again(outcome: Outcome) -> bool:
    return isinstance(outcome, StepError) and outcome.error_class in AGAIN


class _RowsRefused(Exception):
    """The database refused these rows; no other try will do better."""


def record(session: Session, ended: Sequence[Ended], effects: Effects | None) -> list[Recorded]:
    """Commit *ended* with their effects; a verdict each, in order. What stands there may differ from what was given:
    a success whose effects were refused is recorded as a failure.

    Raises:
        AWAY: nothing may be assumed about any of them; call again.
    """
    if not ended:
        return []
    try:
        if effects is None:
            verdicts = session.single(lambda connection: steps.finish(connection, _ends(ended)))
        else:
            verdicts = session.run(lambda connection: _with_effects(connection, ended, effects))
    except (*AWAY, LeaseholdError):
        raise
    except Exception as error:
        return _bisect(session, ended, effects, error)
    return [(lease, outcome, verdict) for (lease, outcome), verdict in zip(ended, verdicts, strict=True)]


def record_and_lease(session: Session, ended: Sequence[Ended], room: Room) -> tuple[list[Recorded], Finished | None]:
    """`record` without effects, and what came with it as far as *room* goes; None when a row was refused, and the
    others were recorded without.

    Raises:
        AWAY: as `record`; call again with the same *ended* and *room*.
    """
    try:
        finished = session.single(lambda connection: steps.finish_and_lease(connection, _ends(ended), room))
    except (*AWAY, LeaseholdError):
        raise
    except Exception as error:
        return _bisect(session, ended, None, error), None
    recorded = zip(ended, finished.verdicts, strict=True)
    return [(lease, outcome, verdict) for (lease, outcome), verdict in recorded], finished


def _bisect(session: Session, ended: Sequence[Ended], effects: Effects | None, error: Exception) -> list[Recorded]:
    if len(ended) > 1:
        middle = len(ended) // 2
        return record(session, ended[:middle], effects) + record(session, ended[middle:], effects)
    lease, outcome = ended[0]
    if isinstance(outcome, StepError) and outcome.reason == REFUSED:
        raise error  # not even that: it is not the step's fault
    log.warning("how a step ended was refused: %s", error, extra=about(lease))
    return record(session, [(lease, StepError(REFUSED, str(error), remedy="Report this item; it is a defect."))], None)


def _ends(ended: Sequence[Ended]) -> list[End] | list[StepLease]:
    if all(isinstance(outcome, Done) and not isinstance(outcome.result, str) for _, outcome in ended):
        return [lease for lease, _ in ended]  # most pages; a step is then told in a microsecond less
    return [end_of(lease, outcome) for lease, outcome in ended]


def _with_effects(connection: Connection, ended: Sequence[Ended], effects: Effects) -> list[Verdict]:
    held = steps.accept(connection, [(lease.token, lease.step_id) for lease, _ in ended])
    if held:
        try:
            effects(connection, [ended[index] for index in held])
        except Exception as error:
            if over_a_limit(error):
                raise _RowsRefused(str(error)) from error
            raise
    return steps.finish(connection, _ends(ended))
