"""Deriving: which addresses may lead past a pooler, guessed from the pooler's own address. Pure; nothing is believed.

Known forms: Supabase (the shared pooler's host, and its dedicated pooler beside the server), Neon's `-pooler` host, and
a pooler on a port of its own (6432, 6543) beside the server on 5432. The password goes with a guess, so a guess stays
with the same host or the same provider; the project's name comes from the user name and must look like one.

Order: the server itself first, then the pooler in session mode. What answers, and whether it is the same database, is
found out by `probing`; which one is used, by `routes`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SERVER_PORT = "5432"
POOLER_PORTS = {"6432": "PgBouncer's port", "6543": "a transaction pooler's port"}
SUPABASE_POOLER = ".pooler.supabase.com"
SUPABASE_SERVER = re.compile(r"^db\.[a-z0-9]{4,40}\.supabase\.co$")
PROJECT = re.compile(r"^[a-z0-9]{4,40}$")
NEON = (".neon.tech", ".neon.build")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address that may be the direct route. `what`: how a person would call it."""

    conninfo: str = field(repr=False)
    what: str
    origin: str


def candidates(url: str) -> list[Candidate]:
    """The addresses worth a try, best first; [] when there is nothing to derive."""
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:  # whoever connects with it says so
        return []
    host, port = given.get("host", ""), given.get("port", "")
    return [] if not host or "," in host or "," in port else _of_one_host(given, host, port)


def _of_one_host(given: dict[str, str], host: str, port: str) -> list[Candidate]:
    if host.endswith(SUPABASE_POOLER):
        return _supabase(given, port)
    if port == "6543" and SUPABASE_SERVER.match(host):
        return [_candidate(given, "server", "Supabase's server beside its dedicated pooler", port=SERVER_PORT)]
    if host.endswith(NEON) and host.partition(".")[0].endswith("-pooler"):
        label, _, rest = host.partition(".")
        bare = f"{label.removesuffix('-pooler')}.{rest}"
        return [_candidate(given, "server", "Neon's host without -pooler", host=bare, hostaddr=None)]
    if port in POOLER_PORTS:
        return [_candidate(given, "server", f"port {SERVER_PORT} beside {port}, {POOLER_PORTS[port]}",
                           port=SERVER_PORT)]  # fmt: skip
    return []


def _supabase(given: dict[str, str], port: str) -> list[Candidate]:
    """The shared pooler: the user's name ends in the project's, which names the server. The server may have an IPv6
    address only; where that cannot be reached the pooler's session mode is next."""
    found = []
    user, _, project = given.get("user", "").rpartition(".")
    if user and PROJECT.match(project):
        host = f"db.{project}.supabase.co"
        found.append(
            _candidate(given, "server", "Supabase's server of this project", host=host, port=SERVER_PORT, user=user,
                       hostaddr=None)
        )  # fmt: skip
    if port == "6543":
        found.append(_candidate(given, "session pooler", "Supabase's pooler in session mode", port=SERVER_PORT))
    return found


def _candidate(given: dict[str, str], what: str, origin: str, **changes: Any) -> Candidate:
    return Candidate(make_conninfo("", **{**given, **changes}), what, f"derived from database.url: {origin}")
