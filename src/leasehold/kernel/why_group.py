"""Why a group is where it is, in one sentence: how it ended, or what its runs wait for.

From the rows that claims, folds and adds go by. Not here: single steps (why).
"""

from __future__ import annotations

from collections.abc import Sequence

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import NotFound
from leasehold.kernel import conditions, groups
from leasehold.kernel.conditions import Standing
from leasehold.kernel.groups import GroupState

PACKAGE = "leasehold.kernel"


def sentence(session: Session, group_id: int) -> str:
    """Why the group is where it is.

    Raises:
        NotFound: there is no such group.
    """
    state = groups.state(session, group_id)
    if state is None:
        raise NotFound(f"There is no group {group_id}.", remedy="Run `leasehold group list --all`.")
    name = f"group {group_id}{f' ({state.label})' if state.label else ''}"
    runs = f"{state.ended:,} of {state.added:,} runs ended{f', {state.failed:,} failed' if state.failed else ''}"
    if state.completed:
        again = f" in round {state.round}" if state.round > 1 else ""
        return f"{name} {_ended(state)}{again}: {runs}."
    reasons = [runs, *_waits(conditions.standing(session, group_id))]
    if state.cancelling:
        return f"{name} was cancelled, and what is under way is being ended: {'; '.join(reasons)}."
    rows = session.fetch(load(PACKAGE, "bounds_reached"), (group_id,))
    reasons += [
        f"{what} {bounded} has {open_:,} of at most {runs_max:,} runs open, so more are refused until some end"
        for what, bounded, runs_max, open_ in rows
    ]
    if not state.sealed:
        what = "more may be added to it" if state.ended < state.added else "it waits only for that"
        reasons.append(f"it is not sealed, and {what}: leasehold group seal {group_id}")
    return f"{name} is open: {'; '.join(reasons)}."


def _ended(state: GroupState) -> str:
    return "was cancelled" if state.outcome == "cancelled" else f"has {state.outcome or 'ended'}"


def _waits(found: Sequence[Standing]) -> list[str]:
    """What stands where, what is held back first."""
    said = []
    for one in sorted(found, key=lambda one: (not one.held_back, one.kind)):
        n = f"{one.steps:,} {one.kind} {'step' if one.steps == 1 else 'steps'}"
        are = "is" if one.steps == 1 else "are"
        if one.state == "waiting" and one.held_back:
            said.append(f"{n} {are} held back, {one.held_back}")
        elif one.state == "waiting":
            said.append(f"{n} {are} ready")
        elif one.state == "delayed":
            said.append(f"{n} {are} delayed, the next for {max(0.0, one.age_s or 0.0):.0f} s")
        elif one.state == "leased":
            said.append(f"{n} {are} leased by {one.places} {'worker' if one.places == 1 else 'workers'}")
        elif one.state == conditions.DEAD:
            said.append(f"{n} {are} held by a worker that is not heard any more")
    return said
