"""Why: where a step stands and what it waits for, in one sentence, from the rows the claim itself looks at."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.kernel.steps import step_name

PACKAGE = "leasehold.kernel"


@dataclass(frozen=True, slots=True)
class Facts:
    """One step, as the database says now. Times in seconds from now or ago."""

    step_id: int
    kind: str
    group_id: int
    label: str
    sealed: bool
    cancelled: bool
    state: str | None
    attempt: int | None
    attempts_max: int
    parents_left: int | None
    parents: str | None
    ready_in_s: float | None
    delayed_for: str | None
    alone: bool | None
    ahead: int
    paused_what: str | None
    paused_name: str | None
    paused_s: float | None
    paused_by: str | None
    paused_why: str | None
    broken_reason: str | None
    broken_streak: int | None
    probe_s: float | None
    probe_step: int | None
    token: int | None
    leased_s: float | None
    holder: str | None
    pid: int | None
    heard_s: float | None
    page: int | None
    ended: str | None
    reason: str | None
    detail: str | None
    ended_at: datetime | None
    full_key: str | None
    full_seats: int | None
    full_taken: int | None
    full_who: str | None
    workers: int
    """Workers that live; `serving`: that know this kind, or have not said what they know; `willing`: not drained."""
    serving: int
    willing: int
    waits_s: float | None
    """Since when it is ready; None also for what was ready before the database kept that."""
    expired: bool | None
    """Its holder's heartbeat is late."""
    drain: str | None


def step_facts(session: Session, step_id: int) -> Facts | None:
    """What is known of a step; None if there is no such step."""
    rows = session.fetch(load(PACKAGE, "why_step"), (step_id,))
    return Facts(*rows[0]) if rows else None


def run_steps(session: Session, run_id: int) -> list[tuple[int, str, str]]:
    """(step_id, kind, state) of a run's steps, in order; [] if there is no such run."""
    return [(row[0], row[1], row[2]) for row in session.fetch(load(PACKAGE, "run_steps"), {"run": run_id})]


def sentence(facts: Facts) -> str:
    """Why the step is where it is."""
    name = f"step {step_name(facts.step_id)} ({facts.kind})"
    say = {
        "blocked": _blocked,
        "delayed": _delayed,
        "ready": _ready,
        "leased": _leased,
    }.get(facts.state or "", _ended)
    return f"{name} {say(facts)}."


def _blocked(facts: Facts) -> str:
    return f"is blocked: it waits for {facts.parents or f'{facts.parents_left} parents'}"


def _delayed(facts: Facts) -> str:
    left = facts.ready_in_s or 0.0
    when = f"in {left:.1f} s" if left > 0 else "at the next look of any worker"
    if facts.delayed_for == "backoff":
        tried = f"attempt {(facts.attempt or 1) - 1} of {facts.attempts_max}"
        why = f"{tried} ended with '{facts.reason}'{_last(facts.detail)}"
    else:
        why = facts.delayed_for or "snoozed"
    if left <= 0 and not facts.workers:
        when = "as soon as a worker runs; none does"
    elif not facts.serving and facts.workers:
        when = f"{when}, but no worker knows this kind"
    return f"is delayed: {why}; ready {when}{f', but {held}' if (held := _held_back(facts)) else ''}"


def _held_back(facts: Facts) -> str:
    """By whom or what the step's lane is not offered to workers; '' when it is."""
    if facts.paused_what:
        return _paused(facts)
    if facts.broken_reason is None or facts.probe_step == facts.step_id:
        return ""
    if facts.probe_step is not None:
        probe = f"step {step_name(facts.probe_step)} is tried now"
    elif facts.probe_s:
        probe = f"one step is tried in {facts.probe_s:.0f} s"
    else:
        probe = "one step is tried as soon as a worker looks"
    return (
        f"the breaker of kind {facts.kind} is open, after {facts.broken_streak} errors in a row with "
        f"'{facts.broken_reason}'; {probe}: leasehold kind resume {shlex.quote(facts.kind)}"
    )


def _paused(facts: Facts) -> str:
    until = "until it is resumed" if facts.paused_s is None else f"for another {facts.paused_s:.0f} s"
    why = f" ({facts.paused_why})" if facts.paused_why else ""
    again = f"leasehold {facts.paused_what} resume {shlex.quote(facts.paused_name or '')}"
    return f"{facts.paused_what} {facts.paused_name} is paused {until} by {facts.paused_by}{why}: {again}"


def _full(facts: Facts) -> str:
    key, seats, taken = facts.full_key or "", facts.full_seats or 0, facts.full_taken or 0
    more = ", and others" if taken > 3 else ""
    if seats == 1 and taken:
        has = f"{key} is held by {facts.full_who}"
    elif taken >= seats:
        has = f"{key} has all of its {seats} seats taken" + (f", by {facts.full_who}{more}" if taken else "")
    else:
        has = f"{key} keeps its next seat for who waits in its line"
    return f"{has}: leasehold lock why {shlex.quote(key)}"


def _ready(facts: Facts) -> str:
    if held := _held_back(facts):
        return f"is ready, but {held}"
    if facts.full_key:
        return f"is ready, but {_full(facts)}"
    if nobody := _nobody(facts):
        return f"is ready, but {nobody}"
    if facts.alone:
        return "is ready and waits for a worker that holds nothing else, because its last holder died with it"
    others = f"behind {facts.ahead:,} others in its lane" if facts.ahead else "first in its lane"
    since = f", for {facts.waits_s:.0f} s" if facts.waits_s is not None and facts.waits_s >= 1 else ""
    return f"is ready{since}, {others}; {_run(facts.willing)}"


def _nobody(facts: Facts) -> str:
    """Why no worker will come for it; '' when one may."""
    if not facts.workers:
        return "no worker runs: start `leasehold worker`, or run the ingest again"
    if not facts.serving:
        return f"no worker knows this kind: {_run(facts.workers)}, and none of them serves '{facts.kind}'"
    if not facts.willing:
        return (
            f"every worker that serves '{facts.kind}' is drained and claims no more: "
            "start another one, or `leasehold worker resume --all`"
        )
    return ""


def _run(n: int) -> str:
    return f"{n} {'worker runs' if n == 1 else 'workers run'}"


def _leased(facts: Facts) -> str:
    page = f", one of a page of {facts.page}" if facts.page and facts.page > 1 else ""
    if facts.expired:
        return (
            f"is leased by worker {facts.holder} (pid {facts.pid}), which was last heard {facts.heard_s or 0:.0f} s "
            f"ago and is dead: it goes back as soon as another worker looks{'' if facts.workers else '; none runs'}"
        )
    return (
        f"is leased by worker {facts.holder} (pid {facts.pid}) for {facts.leased_s or 0:.1f} s under token "
        f"{facts.token}{page}; attempt {facts.attempt} of {facts.attempts_max}; "
        f"last heartbeat {facts.heard_s or 0:.1f} s ago"
    )


def _ended(facts: Facts) -> str:
    reason = f": {facts.reason}" if facts.reason else ""
    detail = _last(facts.detail) if facts.ended != "succeeded" else ""
    when = f" at {facts.ended_at:%Y-%m-%d %H:%M:%S}" if facts.ended_at else ""
    return f"{facts.ended or 'is nowhere'}{when}{reason}{detail}"


def _last(detail: str | None) -> str:
    """The last line of what happened: of a trace it is the one that tells."""
    lines = (detail or "").strip().splitlines()
    return f" ({lines[-1][:300]})" if lines else ""
