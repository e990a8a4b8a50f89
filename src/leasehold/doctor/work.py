"""The work: kinds and lanes that nobody serves, groups that nobody seals, leases, seats and hooks left over."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from leasehold.db.statements import load
from leasehold.doctor.checks import EXAMINED_MAX, Finding, Subject, bad, first, our_session, warn, well
from leasehold.kernel import conditions, history, holders, hooks, seats, upkeep
from leasehold.kernel.conditions import BLOCKED, DEAD, SLOW, STARVED, Condition
from leasehold.kernel.steps import step_name
from leasehold.worker.listener import NAME

UNSEALED_S = 86_400.0
"""A day: whoever adds to a group for longer than that will seal it some day, or never."""
OVERDUE_S = 30.0
"""Keepers take back within a second; after an outage they wait a TTL first."""
QUEUE_SCARCE = 0.5
RANGES_MANY = 16
"""Of 24, at which a prune closes no more."""


def check_partitions(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("partitions", "the database has no schema of ours yet")
            return
        found, left = upkeep.partitions(session), upkeep.detached(session)
        ranges = len(history.ranges(session))
    started = [one for one in found if one.now or one.range or one.table == "event"]
    missing = [one for one in started if not one.now]
    late = [one for one in started if one.now and not one.next]
    for one, say, what in (*((one, bad, "now") for one in missing), *((one, warn, "the next") for one in late)):
        make = "ensure_events()" if one.table == "event" else f"ensure_partitions({one.range << 20})"
        yield say(
            "partitions",
            f"{one.table} has no partition for {what} range, {one.range}",
            f'leasehold db shell -c "select leasehold.{make}"',
            table=one.table,
            range=one.range,
        )
    if left:
        size = sum(n for _, n in left) / 1e6
        yield warn(
            "partitions",
            f"{len(left)} tables of pruned history are detached and not dropped: {size:,.0f} MB",
            "leasehold prune",
            tables=[name for name, _ in left],
        )
    if ranges > RANGES_MANY:
        yield warn(
            "partitions",
            f"{ranges} ranges of runs are kept, and every statement locks them all",
            "leasehold prune --dry-run",
            ranges=ranges,
        )
    if not (missing or late or left or ranges > RANGES_MANY):
        yield well("partitions", f"made ahead; {ranges} ranges of runs", ranges=ranges)


def check_listeners(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("listeners", "the database has no schema of ours yet")
            return
        listening, usage = session.fetch(load("leasehold.db", "listeners"), (NAME,))[0]
        workers = [one for one in holders.living(session) if one.kind == "worker" and not one.expired]
    if usage > QUEUE_SCARCE:
        yield bad(
            "listeners",
            f"the server's queue of notifications is {usage:.0%} full: a listener stands in a transaction",
            'leasehold db shell -c "select pid, application_name, state, xact_start from pg_stat_activity"',
            usage=usage,
        )
    if workers and not listening:
        yield warn(
            "listeners",
            f"{len(workers)} workers run and none of them is heard to listen: they find new work by polling",
            "leasehold worker list",
            workers=len(workers),
        )
    elif usage <= QUEUE_SCARCE:
        yield well("listeners", f"{listening} for {len(workers)} workers", listening=listening, workers=len(workers))


def check_work(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("work", "the database has no schema of ours yet")
            return
        found = conditions.conditions(conditions.standing(session), holders.living(session))
    shown, more = first(found)
    for one in shown:
        yield _of_condition(one, more)
    if not found:
        yield well("work", "nothing is starved, blocked, slow or dead")


def _of_condition(one: Condition, more: str) -> Finding:
    since = f" for {one.age_s:.0f} s" if one.age_s is not None else ""
    n = f"{one.steps:,} {'step' if one.steps == 1 else 'steps'}"
    remedy = {
        STARVED: "leasehold worker" if "no worker" in one.why else "leasehold worker list",
        BLOCKED: "leasehold kind list",
        DEAD: "leasehold worker",
    }.get(one.word, "")
    sentence = f"{n} {one.word}{since}: {one.why}{more}"
    facts = {"word": one.word, "kind": one.kind, "steps": one.steps, "age_s": one.age_s, "why": one.why}
    if one.word == SLOW:  # it may need all of its time
        return well(f"kind {one.kind}", sentence, **facts)
    say = bad if one.word == STARVED and "knows" in one.why else warn
    return say(f"kind {one.kind}", sentence, remedy, **facts)


def check_groups(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("groups", "the database has no schema of ours yet")
            return
        shown, more = first(upkeep.unsealed(session, age_s=UNSEALED_S, limit=EXAMINED_MAX + 1))
    for one in shown:
        label = f" ({one.label})" if one.label else ""
        yield warn(
            f"group {one.group_id}",
            f"{label.strip()} is {one.age_s / 86_400:.0f} days old, has nothing left to do, "
            f"and is not sealed: it never completes, and its history stays{more}".strip(),
            f"leasehold group seal {one.group_id}",
            group_id=one.group_id,
            runs=one.runs,
        )
    if not shown:
        yield well("groups", "none waits for its seal alone")


def check_leases(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("leases", "the database has no schema of ours yet")
            return
        shown, more = first(upkeep.overdue(session, since_s=OVERDUE_S, limit=EXAMINED_MAX + 1))
    for one in shown:
        what = "is past its deadline" if one.past_deadline else "belongs to a holder that is not heard any more"
        yield bad(
            f"lease {one.token}",
            f"{one.steps} {one.kind} steps from {step_name(one.step_id)} on, of {one.holder} (pid "
            f"{one.pid}): it {what}, and nobody has taken it back for {one.since_s:.0f} s{more}",
            "leasehold worker",
            token=one.token,
            since_s=one.since_s,
        )
    if not shown:
        yield well("leases", "none is overdue")


def check_seats(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("seats", "the database has no schema of ours yet")
            return
        taken = seats.taken(session)
    gone = [one for one in taken if one.expired]
    shown, more = first(gone)
    for one in shown:
        yield warn(
            f"seat {one.ix} of {one.key}",
            f"its holder {one.name} (pid {one.pid} on {one.host}) is not heard for {one.heard_s:.0f} s{more}",
            f"leasehold lock break {shlex.quote(one.key)}",
            key=one.key,
        )
    if not gone:
        yield well("seats", f"{len(taken)} taken, all by holders that live", taken=len(taken))


def check_hooks(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("hooks", "the database has no schema of ours yet")
            return
        counts = hooks.counts(session)
    dead = {name: counted["failed"] for name, counted in counts.items() if counted.get("failed")}
    for name, n in dead.items():
        remedy = f"leasehold hook list --state failed --hook {shlex.quote(name)}"
        calls = "call has" if n == 1 else "calls have"
        yield warn(f"hook {name}", f"{n:,} {calls} failed for good", remedy, hook=name, failed=n)
    if not dead:
        yield well("hooks", "no call has failed for good")
