"""Room: whether the server has the sessions that a start would need. Computed before anything starts, and refused.

Every session that a keeper and its workers can have open at the same time is counted, by route. Sessions that go
through a pooler in transaction mode cost the server nothing of their own. The server's answer is a moment's truth
(`capacity`): the refusal is for plans that cannot work, not a reservation.
"""

from __future__ import annotations

from dataclasses import dataclass

from leasehold.db import routes
from leasehold.db.capacity import Ceiling, Pool, ceiling, pool_of
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
    scans: bool = False
    """Whether a transaction stands open for long (a scan's turn), which keeps a place in a pool that all must share."""

    def on_server(self, found: routes.Found, processes: int | None = None) -> int:
        """How many of them are the server's own sessions."""
        n = self.processes if processes is None else processes
        direct = 0 if found.direct.shared else self.direct + n * self.direct_each
        pooled = 0 if found.pooled.shared else self.pooled + n * self.pooled_each
        return direct + pooled

    def fitting(self, found: routes.Found, left: int) -> int:
        """The most processes that fit into *left*; 0: not even one."""
        return max((n for n in range(1, self.processes) if self.on_server(found, n) <= left), default=0)


def of_keeper(processes: int, page_consumers: int, *, scans: bool = False) -> Needs:
    """A command with a keeper, and children with so many consumers each that work pages."""
    return Needs(
        direct=KEEPER + (TURN if scans else 0),
        scans=scans,
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
    if found.direct.shared and found.direct.conninfo:
        _check_pool(needs, pool_of(found.direct.conninfo))
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


def _check_pool(needs: Needs, pool: Pool | None) -> None:
    """Everything goes through one pooler. Where it tells, its places must do; where not, nobody can know."""
    if pool is None:
        return
    if needs.scans and pool.size < 2:
        raise TooManySessions(
            "Everything goes through one pooler whose pool has one place, and a scan would keep it.",
            remedy="Set default_pool_size to 2 or more, or give database.direct_url.",
        )
    clients = needs.direct + needs.pooled + needs.processes * (needs.direct_each + needs.pooled_each)
    if clients > pool.clients_max - pool.clients:
        raise TooManySessions(
            f"This would need {clients} connections to the pooler, and it lets in {pool.clients_max}, of which "
            f"{pool.clients} are there.",
            remedy="Raise max_client_conn, start fewer processes, or give database.direct_url.",
        )
