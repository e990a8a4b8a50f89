"""Conditions: what of the work does not go on, in four words that mean four things.

*Starved*: ready, nothing holds it back, and nobody has claimed it for `STARVED_S`. *Blocked*: ready, and held back by a
pause, an open breaker or a full resource: no worker could claim it. *Slow*: leased by a living worker, whose lease has
used up more than half of its time. *Dead*: leased by a holder that is not heard any more; it goes back as soon as
somebody looks. Each is one look at the rows that the claim and the reaper go by, so nothing here can disagree with what
they do.

Work that waits for its turn, for its backoff or for the steps before it is in none of these conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.kernel.holders import Living

PACKAGE = "leasehold.kernel"
STARVED, BLOCKED, SLOW, DEAD = "starved", "blocked", "slow", "dead"
WORDS = (STARVED, BLOCKED, SLOW, DEAD)
STARVED_S = 30.0
"""As long as it takes until a worker that claims nothing is called silent."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Steps of one kind in one state (waiting, delayed, leased, slow, dead). `age_s`: of the oldest, None when nobody
    knows; of delayed ones the time until the next is due. `places`: in how many lanes they wait, or holders have them.
    """

    state: str
    kind: str
    held_back: str
    steps: int
    age_s: float | None
    places: int
    longest: int | None = None
    """Waiting: steps in the longest of these lanes."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Steps of one kind that do not go on: one of the four `WORDS`, how many, since when, and why."""

    word: str
    kind: str
    steps: int
    age_s: float | None
    why: str


def standing(session: Session, group_id: int | None = None) -> list[Standing]:
    """Where the work of all open groups stands, or of one."""
    return [Standing(*row) for row in session.fetch(load(PACKAGE, "standing_now"), {"group": group_id})]


def conditions(found: Sequence[Standing], living: Sequence[Living]) -> list[Condition]:
    """What of it is starved, blocked, slow or dead, worst first."""
    said = [one for each in found if (one := _condition(each, living)) is not None]
    return sorted(said, key=lambda one: ([DEAD, STARVED, BLOCKED, SLOW].index(one.word), one.kind, one.why))


def _condition(one: Standing, living: Sequence[Living]) -> Condition | None:
    holders = f"{one.places} {'worker' if one.places == 1 else 'workers'}"
    if one.state == "waiting" and one.held_back:
        return Condition(BLOCKED, one.kind, one.steps, one.age_s, one.held_back)
    if one.state == "waiting" and one.age_s is not None and one.age_s >= STARVED_S:
        return Condition(STARVED, one.kind, one.steps, one.age_s, _unclaimed(one.kind, living))
    if one.state == SLOW:
        return Condition(SLOW, one.kind, one.steps, one.age_s, f"{holders} at it, more than half of the time used up")
    if one.state == DEAD:
        return Condition(DEAD, one.kind, one.steps, one.age_s, f"held by {holders} not heard any more")
    return None


def _unclaimed(kind: str, living: Sequence[Living]) -> str:
    """Why nobody claims steps of a kind that nothing holds back."""
    workers = [one for one in living if one.kind == "worker" and not one.expired]
    serving = [one for one in workers if one.kinds is None or kind in one.kinds]
    willing = [one for one in serving if one.drain is None]
    if not workers:
        return "no worker runs"
    if not serving:
        return f"no worker knows this kind ({len(workers)} run)"
    if not willing:
        return "every worker that serves it is drained"
    if silent := [one for one in willing if one.silent]:
        return f"{len(silent)} of {len(willing)} workers that serve it are silent: {silent[0].silent}"
    return f"{len(willing)} of {len(workers)} workers serve it, and are busy with other work"
