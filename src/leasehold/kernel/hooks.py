"""Hooks: what a workflow wants called when something happens to its groups, runs or steps.

A hook names events and a call: a Python function, `module:function`, or an address that the event is posted to. For
each event that it names one *call* is made, in the transaction that writes the event, so there is one if and only if
the event happened, and a crash in between cannot lose it. A call is a step of kind `hook` that belongs to no group and
no run: it counts nowhere, raises no events, and comes with what steps come with: leases, retries, a history. Its key
is the same in every attempt, so that whoever is called can tell a repetition.

A hook belongs to a version of a workflow. What was submitted under it keeps it; an edited workflow is another version.

Authoritative: the rows of `leasehold.hook` and `leasehold.hook_call`; where a call stands is where its step stands.

Not here: calling (worker), what a definition file looks like (workflows).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import UsageError
from leasehold.kernel.steps import step_name

PACKAGE = "leasehold.kernel"

GROUP_EVENTS = ("group_start", "group_end")
RUN_EVENTS = ("run_start", "run_end", "run_failed")
STEP_EVENTS = ("step_start", "step_end", "step_failed")
EVENTS = (*GROUP_EVENTS, *RUN_EVENTS, *STEP_EVENTS)
"""What a hook may name. The events of steps are written only where somebody subscribed to them."""
KIND = "hook"
"""The kind of step that a call is."""
TIMEOUT_MAX_S = 3600.0
BACKOFF_MAX_S = 86_400.0

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_ADDRESS = re.compile(r"https?://[^\s/@]+(/\S*)?")
STATES = ("ready", "delayed", "leased", "succeeded", "failed", "cancelled")
"""Where a call may stand; the last three are ends. Cancelled: it answered that there is nothing to do."""
OPEN = STATES[:3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One hook of a workflow.

    Raises:
        UsageError: a name, an event, a call or a number that it cannot have, saying what was expected.
    """

    name: str
    """Unlike the names of the workflow's other hooks: letters, digits, `_`, `.` and `-`, all small."""
    on: tuple[str, ...]
    """The events it is called for, of `EVENTS`."""
    call: str
    """`module:function`, or an address that begins with http:// or https://."""
    attempts_max: int = 5
    """After so many failed attempts the call has failed, and is kept for `leasehold hook retry`."""
    backoff_s: float = 2.0
    """The first wait between two attempts; it doubles."""
    backoff_max_s: float = 300.0
    timeout_s: float = 30.0
    """Of one attempt; whatever runs longer is killed, and that is an error like any other."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", (self.on,) if isinstance(self.on, str) else tuple(self.on))
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise UsageError(
                f"'{self.name}' cannot name a hook.",
                remedy="Use up to 63 small letters, digits, '_', '.' and '-', a letter first: notify-search.",
            )
        if unknown := [one for one in self.on if one not in EVENTS]:
            raise UsageError(f"Hook '{self.name}': there is no event '{unknown[0]}'.",
                             remedy=f"Name one or more of {', '.join(EVENTS)}.")  # fmt: skip
        if not self.on or len(set(self.on)) < len(self.on):
            raise UsageError(f"Hook '{self.name}' must name one event or more, each once; it names {list(self.on)}.")
        if not isinstance(self.call, str) or not (_FUNCTION.fullmatch(self.call) or _ADDRESS.fullmatch(self.call)):
            raise UsageError(
                f"Hook '{self.name}' calls '{self.call}', which is neither a function nor an address.",
                remedy="Write package.module:function, or https://host/path, without a user or a password in it.",
            )
        for name, kinds in (("attempts_max", int), ("backoff_s", int | float), ("backoff_max_s", int | float),
                            ("timeout_s", int | float)):  # fmt: skip
            if not isinstance(value := getattr(self, name), kinds) or isinstance(value, bool):
                raise UsageError(f"Hook '{self.name}': {name} must be a number; it is {value!r}.")
        if not 1 <= self.attempts_max <= 1000:
            raise UsageError(f"Hook '{self.name}': attempts_max={self.attempts_max} must be between 1 and 1000.")
        if not 0 <= self.backoff_s <= self.backoff_max_s <= BACKOFF_MAX_S:
            raise UsageError(
                f"Hook '{self.name}': backoff_s={self.backoff_s} must be 0 or more, and backoff_max_s="
                f"{self.backoff_max_s} no less than that and at most {BACKOFF_MAX_S:.0f}."
            )
        if not 0 < self.timeout_s <= TIMEOUT_MAX_S:
            raise UsageError(
                f"Hook '{self.name}': timeout_s={self.timeout_s} must be above 0 and at most {TIMEOUT_MAX_S:.0f}."
            )

    def as_dict(self) -> dict[str, object]:
        """As it is registered; `on` in the order of `EVENTS`, so that its order in a file makes no other version."""
        return {
            "name": self.name,
            "on": [one for one in EVENTS if one in self.on],
            "call": self.call,
            "attempts_max": self.attempts_max,
            "backoff_s": self.backoff_s,
            "backoff_max_s": self.backoff_max_s,
            "timeout_s": self.timeout_s,
        }


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a hook for one event, as the database says now.

    `attempts` have ended so far, whatever way; `ended_at`, `reason` and `detail` are of the last one of them.
    """

    step_id: int
    hook: str
    call: str
    event: str | None
    event_id: int
    group_id: int
    run_id: int | None
    key: str
    state: str
    attempts: int
    attempts_max: int
    made_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    detail: str | None
    ready_in_s: float | None

    @property
    def name(self) -> str:
        return step_name(self.step_id)


def calls(
    session: Session,
    *,
    group_ids: Sequence[int] | None = None,
    hook: str | None = None,
    states: Sequence[str] | None = None,
    step_ids: Sequence[int] | None = None,
    limit: int = 100,
) -> list[Call]:
    """Calls, newest event first: of these groups, of this hook, in one of these states, by these steps."""
    params = {
        "groups": None if group_ids is None else list(group_ids),
        "hook": hook,
        "states": None if states is None else list(states),
        "steps": None if step_ids is None else list(step_ids),
        "limit": limit,
    }
    return [Call(*row) for row in session.fetch(load(PACKAGE, "hook_calls"), params)]


def counts(session: Session, group_ids: Sequence[int] | None = None) -> dict[str, dict[str, int]]:
    """How many calls of each hook stand where, of these groups or of all: {"tell": {"ready": 1, "succeeded": 9}}."""
    found: dict[str, dict[str, int]] = {}
    params = {"groups": None if group_ids is None else list(group_ids)}
    for hook, state, n in session.fetch(load(PACKAGE, "hook_counts"), params):
        found.setdefault(hook, {})[state] = int(n)
    return found


def under_way(counted: dict[str, dict[str, int]]) -> int:
    """Of what `counts` found, the calls that have not ended."""
    return sum(n for states in counted.values() for state, n in states.items() if state in OPEN)


def any_open(session: Session) -> bool:
    """Whether any call of any hook has not ended."""
    return bool(session.fetch(load(PACKAGE, "hook_calls_open"))[0][0])


def open_groups(session: Session) -> set[int]:
    """Groups of which a call has not ended."""
    return {row[0] for row in session.fetch(load(PACKAGE, "hook_groups_open"))}


def waits_for(session: Session, step_id: int) -> tuple[int, float] | None:
    """The call that comes before this one, and in how many seconds it is due: of the same hook, for an earlier event of
    the same run (of the group, for an event of the group), and not ended. None: nothing."""
    rows = session.fetch(load(PACKAGE, "hook_call_before"), (step_id,))
    return (int(rows[0][0]), float(rows[0][1])) if rows else None


def retry(session: Session, step_ids: Sequence[int]) -> int:
    """Make these calls again, those of them that have failed; how many. Their keys stay. May be sent again."""
    return int(session.fetch(load(PACKAGE, "call_hook_retry"), (sorted(set(step_ids)),))[0][0])


def subscribe(session: Session, group_id: int, events: Sequence[str]) -> None:
    """Have events of steps written for a group, from its next lease on. May be sent again.

    Raises:
        UsageError: it is no event of a step; the others are always written.
        NotFound: there is no such group.
    """
    if unknown := [one for one in events if one not in STEP_EVENTS]:
        raise UsageError(f"'{unknown[0]}' is no event of a step.", remedy=f"Name some of {', '.join(STEP_EVENTS)}.")
    session.fetch(load(PACKAGE, "call_event_subscribe"), (group_id, sorted(set(events))))
