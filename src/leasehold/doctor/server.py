"""The server: its version, vectors, schema, clock, disk, and who keeps it from cleaning up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from leasehold.db import migrations, snapshots
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.doctor.checks import Finding, Subject, bad, our_session, warn, well
from leasehold.errors import SchemaAhead, SchemaChanged
from leasehold.kernel import upkeep
from leasehold.stores import pg
from leasehold.worker.snapshots import OLD_S, OLD_XIDS

OLDEST, NEWEST = 15, 18
"""Versions of the server that the tests run on, and those between them."""
SKEW_S = 5.0
"""Of this host's clock against the database's. Nothing depends on it but people who compare logs, and signatures."""
SET_BACK_S = 1.0
VERY_OLD_S = 3600.0
SCARCE_SHARE, SCARCE_BYTES = 0.10, 10e9
FULL_SHARE, FULL_BYTES = 0.02, 1e9
"""Free, of a small disk and of a large one: whichever is less."""


def check_server(subject: Subject) -> Iterator[Finding]:
    with Session(subject.target, application_name="leasehold doctor") as session:
        number = session.connection.info.server_version
        version = f"PostgreSQL {number // 10000}.{number % 10000}"
        if not OLDEST <= number // 10000 <= NEWEST:
            yield warn("server", f"{version}; tested are {OLDEST} to {NEWEST}", "leasehold db status", version=number)
        else:
            yield well("server", version, version=number)
        if migrations.is_empty(session):
            yield well("vectors", "the database has no schema of ours yet")
        elif pg.has_pgvector(session):
            yield well("vectors", "compared by pgvector")
        else:
            yield warn(
                "vectors",
                "compared one by one, which is slow from some 10,000 chunks on: pgvector was not there "
                "when the schema was made",
                "Install pgvector on the server, and ingest into a new database: leasehold db migrate.",
            )


def check_migrations(subject: Subject) -> Iterator[Finding]:
    with Session(subject.target, application_name="leasehold doctor") as session:
        if migrations.is_empty(session):
            yield well("schema", "none yet; the first ingest makes it")
            return
        try:
            current = migrations.is_current(session)
        except (SchemaAhead, SchemaChanged) as error:
            yield bad("schema", f"{error.message.rstrip('.')} {error.context}", error.remedy or "", **error.context)
            return
    if current:
        yield well("schema", f"as this program's: {migrations.release()}")
    else:
        yield bad("schema", "older than this program, which refuses to work with it", "leasehold db migrate")


def check_clock(subject: Subject) -> Iterator[Finding]:
    with our_session(subject) as session:
        if session is None:
            yield well("clock", "the database has no schema of ours yet")
            return
        before = datetime.now(UTC)
        now, latest = upkeep.clock(session)
        middle = before + (datetime.now(UTC) - before) / 2
    skew_s, ahead_s = (now - middle).total_seconds(), (latest - now).total_seconds() if latest else 0.0
    if ahead_s > SET_BACK_S:
        yield bad(
            "clock",
            f"the database's clock was set back: what is written down is {ahead_s:.0f} s ahead of it, and "
            "until then leases and waits end late",
            "leasehold status",
            ahead_s=ahead_s,
        )
    if abs(skew_s) > SKEW_S:
        yield warn(
            "clock",
            f"this host's clock and the database's are {abs(skew_s):.0f} s apart; work goes by the database's",
            "Set this host's time by NTP (timedatectl).",
            skew_s=skew_s,
        )
    if ahead_s <= SET_BACK_S and abs(skew_s) <= SKEW_S:
        yield well("clock", f"{abs(skew_s) * 1000:.0f} ms from this host's", skew_s=skew_s)


def check_snapshots(subject: Subject) -> Iterator[Finding]:
    with Session(subject.target, application_name="leasehold doctor") as session:
        found = snapshots.held(session)
    old = snapshots.too_old(found, age_s=OLD_S, xids=OLD_XIDS)
    for one in old:
        since = f"since {one.age_s:.0f} s" if one.age_s is not None else f"{one.xids:,} transactions back"
        say = bad if one.age_s is None or one.age_s >= VERY_OLD_S else warn
        yield say(
            "snapshots",
            f"{one.described} holds one {since}: dead rows stay, in every table",
            one.remedy,
            what=one.what,
            name=one.name,
            age_s=one.age_s,
            xids=one.xids,
        )
    if not old:
        oldest = max((one.age_s for one in found if one.age_s is not None), default=0.0)
        yield well("snapshots", f"the oldest is {oldest:.0f} s old", age_s=oldest)


def check_disk(subject: Subject) -> Iterator[Finding]:
    with Session(subject.target, application_name="leasehold doctor") as session:
        size, data = session.fetch(load("leasehold.db", "disk"))[0]
    yield well("database", f"{size / 1e6:,.0f} MB", bytes=size)
    places = {"data directory": Path(data) if data else None, "home": subject.target.home}
    for about, place in places.items():
        if place is not None and place.is_dir():
            yield _of_disk(about, place)
    if not data or not Path(data).is_dir():
        yield well("data directory", "is not on this machine, or not to be seen from here")


def _of_disk(about: str, place: Path) -> Finding:
    usage = shutil.disk_usage(place)
    sentence = f"{usage.free / 1e9:,.1f} GB of {usage.total / 1e9:,.1f} GB free at {place}"
    facts = {"path": str(place), "free_bytes": usage.free, "total_bytes": usage.total}
    if usage.free < min(FULL_SHARE * usage.total, FULL_BYTES):
        return bad(about, sentence, "leasehold prune --older-than 7d", **facts)
    if usage.free < min(SCARCE_SHARE * usage.total, SCARCE_BYTES):
        return warn(about, sentence, "leasehold prune --older-than 30d", **facts)
    return well(about, sentence, **facts)
