"""Events: reading the outbox, in which everything that starts, ends or fails stands in the order of its id.

Ids are drawn before their transactions commit, so a smaller id may become visible after a greater one: who reads on
from the last id it saw also asks for those that were missing then. Events of one run become visible in their order.

Authoritative: the rows of `leasehold.event`. Not here: who writes them (the SQL), who is called for them (hooks).
"""

from __future__ import annotations

from collections.abc import Collection

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.types import Event

PACKAGE = "leasehold.kernel"


def last(session: Session) -> int:
    """The id of the newest event; 0 when there is none."""
    return int(session.fetch(load(PACKAGE, "events_last"))[0][0])


def after(session: Session, position: int, *, missing: Collection[int] = (), limit: int = 1000) -> list[Event]:
    """At most *limit* events behind *position*, and those of *missing* that are visible now, by id."""
    params = {"after": position, "missing": list(missing), "limit": limit}
    return [
        Event(
            event_id=event_id, name=name, at=at, group_id=group_id, run_id=run_id, data=data or {}, workflow=workflow,
            label=label,
        )
        for event_id, name, at, group_id, run_id, data, workflow, label in session.fetch(
            load(PACKAGE, "events_after"), params
        )
    ]  # fmt: skip
