"""The state machines, as literal tables: event -> {state the thing must be in: states it may be left in}.

The SQL functions implement them, `tests/property` drives every (state, event) pair through the SQL and compares, and
docs/concepts/states.md is printed from here. A pair that is not in the table changes nothing.
"""

from __future__ import annotations

from typing import Final

BLOCKED, READY, DELAYED, LEASED = "blocked", "ready", "delayed", "leased"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"

Transitions = dict[str, dict[str, frozenset[str]]]


def _to(*states: str) -> frozenset[str]:
    return frozenset(states)


STEP: Final[Transitions] = {
    "claim": {READY: _to(LEASED)},
    "succeed": {LEASED: _to(SUCCEEDED)},
    "skip": {LEASED: _to(CANCELLED)},
    "fail": {LEASED: _to(FAILED)},
    "error": {LEASED: _to(DELAYED, FAILED, CANCELLED)},  # failed when it was the last attempt
    "snooze": {LEASED: _to(DELAYED, CANCELLED)},
    "release": {LEASED: _to(READY, CANCELLED)},
    "holder dies": {LEASED: _to(READY, DELAYED, FAILED, CANCELLED)},  # charged only when it was all its holder held
    "deadline passes": {LEASED: _to(READY, DELAYED, FAILED, CANCELLED)},
    "come due": {DELAYED: _to(READY)},
    "last parent succeeds": {BLOCKED: _to(READY)},
    "run ends": {BLOCKED: _to(CANCELLED), READY: _to(CANCELLED), DELAYED: _to(CANCELLED)},
    "group cancelled": {
        BLOCKED: _to(CANCELLED),
        READY: _to(CANCELLED),
        DELAYED: _to(CANCELLED),
        LEASED: _to(CANCELLED),
    },
    "run cancelled": {
        BLOCKED: _to(CANCELLED),
        READY: _to(CANCELLED),
        DELAYED: _to(CANCELLED),
        LEASED: _to(CANCELLED),
    },
    "put off": {READY: _to(DELAYED), DELAYED: _to(DELAYED)},
    "retry": {FAILED: _to(READY, BLOCKED), CANCELLED: _to(READY, BLOCKED)},  # a cancelled sibling of a failed step
}
"""A step. `error` is a transient error of its own word; `skip` ends its run with nothing to do. What would come to wait
again although its run has ended meanwhile (a sibling failed) is cancelled instead."""

STEP_START: Final = _to(BLOCKED, READY)
STEP_END: Final = _to(SUCCEEDED, FAILED, CANCELLED)

RUN: Final[Transitions] = {
    "last step succeeds": {"open": _to("succeeded")},
    "a step fails": {"open": _to("failed")},
    "a step skips": {"open": _to("cancelled")},
    "group cancelled": {"open": _to("cancelled")},
    "cancel": {"open": _to("cancelled")},
    "retry": {"failed": _to("open")},
}

GROUP: Final[Transitions] = {
    "add": {"open": _to("open"), "sealed": _to("sealed"), "completed": _to("sealed")},  # a completed one: next round
    "seal": {"open": _to("sealed", "completed")},
    "last run ends": {"sealed": _to("completed")},
    "cancel": {"open": _to("cancelling"), "sealed": _to("cancelling")},
    "sweep": {"cancelling": _to("cancelling", "completed")},
    "retry": {"sealed": _to("sealed"), "completed": _to("sealed"), "open": _to("open")},
}

HOLDER: Final[Transitions] = {
    "heartbeat": {"living": _to("living")},
    "claim": {"living": _to("living")},
    "leave": {"living": _to("left")},
    "expire": {"living": _to("reaped")},
}

SEAT: Final[Transitions] = {
    "claim": {"free": _to("leased")},
    "take": {"free": _to("held")},
    "step ends": {
        "leased": _to("leased", "free", "gone")
    },  # the last step of a page, or the step that it was taken for
    "give back": {"held": _to("free", "gone")},
    "holder ends": {"leased": _to("free", "gone"), "held": _to("free", "gone")},
    "deadline passes": {"leased": _to("free", "gone")},
    "group cancelled": {"leased": _to("free", "gone")},
    "break": {"leased": _to("free", "gone"), "held": _to("free", "gone")},
    "shrink": {"free": _to("free", "gone"), "leased": _to("leased"), "held": _to("held")},
    "grow": {"gone": _to("free")},
}
"""A place at a resource. It is gone when its resource has fewer; what comes back to a resource that was made smaller is
gone at once."""
