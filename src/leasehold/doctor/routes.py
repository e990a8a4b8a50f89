"""The routes: which is in use for what and why, what it can, and whether the server has room for what would start.

Looked for anew, by the same steps as a worker; what a running worker has found earlier may differ, if the network does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leasehold.db import routes
from leasehold.db.capacity import ceiling, pool_of
from leasehold.db.line import BROKEN
from leasehold.db.probing import Mode, Probed, probe
from leasehold.db.routes import SET_DIRECT, Found, Route
from leasehold.db.session import Session
from leasehold.doctor.checks import Finding, Subject, Verdict
from leasehold.errors import DatabaseUnavailable
from leasehold.worker import room

TOO_FEW = "Set default_pool_size to 2 or more: a scan keeps one place."
TOO_PATIENT = "Set server_login_retry to 1 or 2: every worker is silent for so long."
LOGIN_RETRY_MAX_S = 5.0
"""Longer than this, and a pooler alone outlasts the patience of claims (12 s) and most TTLs after one bad moment."""
SCARCE = 0.1
"""Less than this share of a ceiling left is worth a word."""


def check_routes(subject: Subject) -> Iterator[Finding]:
    target = subject.target
    routes.forget(target)
    try:
        found = routes.of(target).found()
    except BROKEN as error:
        raise DatabaseUnavailable(f"The database cannot be reached: {error}", target=target.described()) from error
    probed = {route.name: probe(route.conninfo or target.conninfo()) for route in (found.pooled, found.direct)}
    for route in (found.pooled, found.direct):
        yield _of_route(route, probed[route.name], found)
    for one in found.tried:
        yield Finding(
            about="direct route",
            verdict=Verdict.WARN if one.origin == "database.direct_url" else Verdict.OK,
            sentence=f"left out: {one.origin}: {one.why}",
            facts={"origin": one.origin, "why": one.why},
        )


def _of_route(route: Route, probed: Probed, found: Found) -> Finding:
    prepares = not route.shared and probed.mode is not Mode.TRANSACTION_POOLER
    listen = f"comes back in {probed.listen_ms:.1f} ms" if probed.listen_ms is not None else _deaf(route, probed)
    why = route.why if probed.how in route.why else f"{probed.how}; {route.why}"
    sentence = (
        f"PostgreSQL {probed.version}, {probed.mode}; {route.origin}: {why}; "
        f"prepared statements {'in use' if prepares else 'not used'}; LISTEN {listen}; "
        f"round trip {probed.round_trip_ms:.1f} ms"
    )
    degraded = route.degraded if route.name == "direct" else ""
    return Finding(
        about=f"{route.name} route",
        verdict=Verdict.WARN if degraded else Verdict.OK,
        sentence=f"{sentence}. Degraded: {degraded}" if degraded else sentence,
        remedy=SET_DIRECT if degraded else "",
        facts=_facts(route, probed, prepares, found),
    )


def _facts(route: Route, probed: Probed, prepares: bool, found: Found) -> dict[str, Any]:
    return {
        **route.as_dict(),
        "server_version": probed.version,
        "mode": str(probed.mode),
        "known_by": probed.how,
        "prepared_statements": prepares,
        "listen_ms": probed.listen_ms,
        "round_trip_ms": round(probed.round_trip_ms, 3),
        "same_address_as_the_other": found.one,
    }


def _deaf(route: Route, probed: Probed) -> str:
    if probed.mode is Mode.TRANSACTION_POOLER:
        return "is not used: a pooler in transaction mode delivers nothing"
    return "did not come back"


def check_sessions(subject: Subject) -> Iterator[Finding]:
    target = subject.target
    found = routes.of(target).found()
    needs = room.of_keeper(subject.processes, subject.page_consumers)
    needed = needs.on_server(found)
    if not found.direct.shared:
        with Session(target, route="direct", application_name="leasehold doctor") as session:
            over = ceiling(session)
        short, scarce = needed > over.left, over.left < over.allowed * SCARCE
        yield Finding(
            about="direct sessions" if not found.one else "sessions",
            verdict=Verdict.BAD if short else Verdict.WARN if scarce else Verdict.OK,
            sentence=f"{over}; {over.left} left, and `leasehold worker` with these settings takes {needed}",
            remedy=_more_room(needs, found, over.left) if short or scarce else "",
            facts={"allowed": over.allowed, "used": over.used, "left": over.left, "needed": needed, "of": over.name},
        )
    if found.pooled.shared and found.pooled.conninfo:
        yield _of_pool(found.pooled.conninfo, subject, alone=bool(found.direct.shared))


def _more_room(needs: room.Needs, found: Found, left: int) -> str:
    fitting = needs.fitting(found, left)
    less = f"Use --processes {fitting}, or raise" if fitting else "Raise"
    return f"{less} max_connections, or put a pooler in front and give it as database.url."


def _of_pool(conninfo: str, subject: Subject, *, alone: bool) -> Finding:
    """The pooler's places, where it tells. Alone, everything goes through them, and a scan's turn keeps one."""
    pool = pool_of(conninfo)
    if pool is None:
        return Finding(
            about="pooled sessions",
            verdict=Verdict.OK,
            sentence="the pooler tells this role nothing about its pool",
            remedy="Give the pool two places or more." if alone else "",
        )
    short = pool.size < (2 if alone else 1)
    slow = alone and pool.login_retry_s > LOGIN_RETRY_MAX_S
    wait = f"; after one failed login it makes no server session for {pool.login_retry_s:g} s" if slow else ""
    return Finding(
        about="pooled sessions",
        verdict=Verdict.BAD if short else Verdict.WARN if slow else Verdict.OK,
        sentence=f"the pool has {pool.size} server sessions for each database and role, and lets in {pool.clients_max} "
        f"clients, of which {pool.clients} are there{wait}",
        remedy=TOO_FEW if short else TOO_PATIENT if slow else "",
        facts={
            "pool_size": pool.size,
            "clients_max": pool.clients_max,
            "clients": pool.clients,
            "login_retry_s": pool.login_retry_s,
        },
    )
