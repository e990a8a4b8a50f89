"""Doctor: checks that look at one thing each and say what they found, with what to do about it.

A check is a function that takes a `Subject` and yields `Finding`s: ok, warn or bad, one sentence, a remedy where there
is something to do, facts for machines. It looks with the same code as the actors use: a route is found as a worker
finds it, a silent worker by the sentence that the worker itself has written down. To add one, write it and put it into
`CHECKS`; nothing else knows their names.

Invariants: a check changes nothing. One that fails itself is red, never green: what could not be looked at has not been
seen to be well. No finding holds a password.

Not here: terminals (`cli/doctor.py`), mending.
"""

from __future__ import annotations

from leasehold.doctor.artifacts import check_artifacts
from leasehold.doctor.checks import Check, Finding, Subject, Verdict, run, worst
from leasehold.doctor.routes import check_routes, check_sessions
from leasehold.doctor.server import check_clock, check_disk, check_migrations, check_server, check_snapshots
from leasehold.doctor.work import (
    check_groups,
    check_hooks,
    check_leases,
    check_listeners,
    check_partitions,
    check_seats,
    check_work,
)
from leasehold.doctor.workers import check_workers

CHECKS: dict[str, Check] = {
    "routes": check_routes,
    "sessions": check_sessions,
    "server": check_server,
    "migrations": check_migrations,
    "clock": check_clock,
    "disk": check_disk,
    "artifacts": check_artifacts,
    "snapshots": check_snapshots,
    "partitions": check_partitions,
    "workers": check_workers,
    "listeners": check_listeners,
    "work": check_work,
    "leases": check_leases,
    "seats": check_seats,
    "groups": check_groups,
    "hooks": check_hooks,
}
"""In the order in which they are shown."""

__all__ = ["CHECKS", "Check", "Finding", "Subject", "Verdict", "run", "worst"]
