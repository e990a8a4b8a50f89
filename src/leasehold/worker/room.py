"""Room: whether the server has the sessions that a start would need. Computed before anything starts, and refused.

Every session that a keeper and its workers can have open at the same time is counted, by route. Sessions that go
through a pooler in transaction mode cost the server nothing of their own. The server's answer is a moment's truth
(`capacity`): the refusal is for plans that cannot work, not a reservation.
"""

from __future__ import annotations

from dataclasses import dataclass

from leasehold.db import routes
from leasehold.db.capacity import Ceiling, ceiling
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import TooManySessions

KEEPER = 3
"""Its own, the heartbeat, the chores."""
TURN = 1
DIRECT_EACH = 2
"""A worker process: claims and the listener."""
POOLED_EACH = 1
"""A worker process: finishes. One more for each consumer that works pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Sessions open at the same time at most: of the whole, and of each of `processes`."""

    direct: int
    pooled: int
    direct_each: int = 0
    pooled_each: int = 0
    processes: int = 0

    def on_server(self, found: routes.Found, processes: int | None = None) -> int:
        """How many of them are the server's own sessions."""
        n = self.processes if processes is None else processes
        direct = 0 if found.direct.shared else self.direct + n * self.direct_each
        pooled = 0 if found.pooled.shared else self.pooled + n * self.pooled_each
        return direct + pooled

    def fitting(self, found: routes.Found, left: int) -> int:
        """The most processes that fit into *left*; 0: not even one."""
        return max((n for n in range(1, self.processes) if self.on_server(found, n) <= left), default=0)


def of_keeper(processes: int, page_consumers: int) -> Needs:
    """A command with a keeper, and children with so many consumers each that work pages."""
    return Needs(
        direct=KEEPER + TURN,
        pooled=1,
        direct_each=DIRECT_EACH,
        pooled_each=POOLED_EACH + page_consumers,
        processes=processes,
    )


def of_worker(page_consumers: int) -> Needs:
    """A worker embedded in a program: it keeps itself."""
    return Needs(direct=DIRECT_EACH + KEEPER - 1, pooled=POOLED_EACH + page_consumers)


def check(target: Target, needs: Needs) -> Ceiling | None:
    """The ceiling under which it fits; None where a pooler stands before everything, and the sessions are its own.

    Raises:
        TooManySessions: it does not fit. Nothing has been started.
    """
    found = routes.of(target).found()
    needed = needs.on_server(found)
    if not needed:
        return None
    with Session(target, route="direct", application_name="leasehold room") as session:
        over = ceiling(session)
    if needed > over.left:
        fitting = needs.fitting(found, over.left)
        raise TooManySessions(
            f"This would need {needed} sessions of the database server, and {over.left} are left: {over}.",
            remedy=f"Use --processes {fitting}, raise max_connections, or put a pooler in front." if fitting else None,
        )
    return over
