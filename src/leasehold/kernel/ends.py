"""Ends: what a step function returned or raised, as an outcome, and an outcome as the kernel's word.

Pure. Whoever runs steps (a worker, a test) says by these how they ended, so a step ends alike everywhere.
"""

from __future__ import annotations

import math
import traceback
from typing import Any

from leasehold.kernel.steps import End
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease

OUTCOMES = (Done, Skip, Snooze, StepError)
DETAIL_MAX = 2000
"""Characters of an error kept with a step: enough for a message and the end of a trace."""
DELAY_MAX_S = 10 * 365 * 86_400.0
AGAIN = (ErrorClass.TRANSIENT, ErrorClass.TIMEOUT, ErrorClass.HOLDER_DIED)


def end_of(lease: StepLease, outcome: Outcome) -> End:
    """The kernel's word for an outcome. Whatever a step put into it, the database can store it."""
    end = End(lease.token, lease.step_id, "succeeded")
    if isinstance(outcome, Done):
        end.detail = text(outcome.result) if isinstance(outcome.result, str) else None
    elif isinstance(outcome, Skip):
        end.ended, end.reason, end.detail = "cancelled", text(outcome.reason), text(outcome.detail)
    elif isinstance(outcome, Snooze):
        end.ended, end.reason = "snoozed", text(outcome.why)
        end.wait_key = outcome.wait_key if isinstance(outcome.wait_key, bytes) else None
        end.delay_s = _delay(outcome.delay_s) or 0.0
    elif outcome.error_class is ErrorClass.RESOURCE:
        end.ended, end.reason, end.detail = "snoozed", text(outcome.reason), text(outcome.detail)
        end.delay_s = _delay(outcome.retry_after_s) or 1.0
    else:
        end.ended = "error" if outcome.error_class in AGAIN else "failed"
        end.reason, end.delay_s = text(outcome.reason), _delay(outcome.retry_after_s)
        end.detail = text(f"{outcome.detail} -> {outcome.remedy}" if outcome.remedy else outcome.detail)
    return end


def text(value: Any) -> str:
    """*value* as PostgreSQL can store it: no NUL, no half of a surrogate pair, and not endless."""
    return str(value)[-DETAIL_MAX:].replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _delay(value: Any) -> float | None:
    """Seconds to wait; None for whatever is no time to wait (the workflow's backoff then)."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), DELAY_MAX_S)


def failure(error: BaseException) -> StepError:
    """The StepError for whatever a step raised: its own if it raised one, else transient with the trace's end."""
    if isinstance(error, StepError):
        return error
    if isinstance(error, MemoryError):  # perhaps its neighbour's fault: tried again
        return StepError("over its memory", "its worker process reached its limit", error_class=ErrorClass.TRANSIENT,
                         remedy="Raise ingest.memory_mb, or leave the file out.")  # fmt: skip
    trace = "".join(traceback.format_exception(error))
    return StepError(type(error).__name__, trace[-1800:], error_class=ErrorClass.TRANSIENT)
