"""Capacity: how many sessions the server still has for us, by the tightest of its three ceilings.

A moment's truth: others come and go, and two programs that start at once may both be told yes. It finds out a plan that
cannot work, before half of it runs. What the server keeps for superusers is not ours to use, also as a superuser: it is
there for the hour in which nobody else gets in.

Behind a pooler the server's ceilings are the pooler's business; its own are told by its admin console only, to those
that may enter (`pool_of`).
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo

from leasehold.db import probing
from leasehold.db.session import Session
from leasehold.db.statements import load

CONSOLE = "pgbouncer"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """`allowed` sessions under this name, `used` of them by clients (ours too, but for the one that asked)."""

    name: str
    allowed: int
    used: int

    @property
    def left(self) -> int:
        return max(0, self.allowed - self.used)

    def __str__(self) -> str:
        return f"{self.used} of {self.allowed} sessions in use ({self.name})"


@dataclass(frozen=True, slots=True)
class Pool:
    """What a pooler says of itself: server sessions for this database and role, and clients it lets in.

    `login_retry_s`: after one login to the server that failed, it makes no session for so long.
    """

    size: int
    clients_max: int
    clients: int
    login_retry_s: float


def ceiling(session: Session) -> Ceiling:
    """The tightest ceiling over this session's role and database."""
    most, reserved, used, role_limit, role_used, database_limit, database_used = session.fetch(
        load("leasehold.db", "capacity")
    )[0]
    found = [Ceiling(f"max_connections {most}, {reserved} of them reserved", most - reserved, used)]
    if role_limit >= 0:
        found.append(Ceiling("the role's connection limit", role_limit, role_used))
    if database_limit >= 0:
        found.append(Ceiling("the database's connection limit", database_limit, database_used))
    return min(found, key=lambda one: one.left)


def pool_of(conninfo: str) -> Pool | None:
    """What PgBouncer tells this role about its pool; None where it tells nothing, or there is no PgBouncer."""
    try:
        with probing.opened(make_conninfo(conninfo, dbname=CONSOLE), within_s=2.0) as console:
            settings = {str(row[0]): str(row[1]) for row in _rows(console, "pooler_config")}
            clients = len(_rows(console, "pooler_clients"))
            retry_s = float(settings["server_login_retry"])
            return Pool(int(settings["default_pool_size"]), int(settings["max_client_conn"]), clients, retry_s)
    except (psycopg.Error, OSError, KeyError, ValueError):
        return None


def _rows(console: probing.Raw, name: str) -> list[tuple[object, ...]]:
    return console.execute(load("leasehold.db", name).strip().encode()).fetchall()
