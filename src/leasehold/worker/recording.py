"""Recording: how the ends of steps, and their effects, reach the database.

Effects and ends commit together: first the accepted set is asked for (which locks the leases), then effects are written
for exactly those, then the steps are finished. A row that the database refuses is bisected out and fails alone, with
the database's own words; the rest of the page is kept.

Authoritative: the verdicts. A step that is lost has written nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from leasehold.db.session import Connection, Session
from leasehold.kernel import steps
from leasehold.kernel.steps import End, Verdict
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease
from leasehold.worker.kinds import Effects

Ended = tuple[StepLease, Outcome]

DETAIL_MAX = 2000
"""Characters of an error kept with a step: enough for a message and the end of a trace."""


def end_of(lease: StepLease, outcome: Outcome) -> End:
    """The kernel's word for an outcome."""
    end = End(lease.token, lease.step_id, "succeeded")
    if isinstance(outcome, Done):
        end.detail = outcome.result if isinstance(outcome.result, str) else None
    elif isinstance(outcome, Skip):
        end.ended, end.reason, end.detail = "cancelled", outcome.reason, _text(outcome.detail)
    elif isinstance(outcome, Snooze):
        end.ended, end.reason, end.delay_s, end.wait_key = "snoozed", outcome.why, outcome.delay_s, outcome.wait_key
    elif outcome.error_class is ErrorClass.RESOURCE:
        end.ended, end.reason, end.detail = "snoozed", outcome.reason, _text(outcome.detail)
        end.delay_s = outcome.retry_after_s or 1.0
    else:
        again = outcome.error_class in (ErrorClass.TRANSIENT, ErrorClass.TIMEOUT, ErrorClass.HOLDER_DIED)
        end.ended = "error" if again else "failed"
        end.reason, end.delay_s = outcome.reason, outcome.retry_after_s
        end.detail = _text(f"{outcome.detail} -> {outcome.remedy}" if outcome.remedy else outcome.detail)
    return end


def _text(value: str) -> str:
    return value[-DETAIL_MAX:].replace("\x00", "")


def record(session: Session, ended: Sequence[Ended], effects: Effects | None) -> list[Verdict]:
    """Commit *ended* with their effects; a verdict each, in order. Safe to send again."""
    if not ended:
        return []
    if effects is None:
        return steps.finish_all(session, [end_of(lease, outcome) for lease, outcome in ended])
    try:
        return session.run(lambda connection: _with_effects(connection, ended, effects))
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        if len(ended) == 1:
            refused = StepError("refused by the database", str(error), remedy="Report this file; it is a defect.")
            return record(session, [(ended[0][0], refused)], None)
        middle = len(ended) // 2
        return record(session, ended[:middle], effects) + record(session, ended[middle:], effects)


def _with_effects(connection: Connection, ended: Sequence[Ended], effects: Effects) -> list[Verdict]:
    held = steps.accept(connection, [(lease.token, lease.step_id) for lease, _ in ended])
    if held:
        effects(connection, [ended[index] for index in held])
    return steps.finish(connection, [end_of(lease, outcome) for lease, outcome in ended])
