"""`leasehold status`: sources, work under way, workers."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, say
from leasehold.cli.kind import breaker_line
from leasehold.cli.pausing import shown_end

log = logging.getLogger("leasehold.cli")

WATCH_EVERY_S = 1.0


@click.command()
@click.option("--in", "collection", metavar="COLLECTION", help="Sources of one collection only.")
@click.option("--watch", is_flag=True, help="Show it again every second until interrupted.")
@click.option("--failed", is_flag=True, help="Name every file that failed, with the remedy.")
@click.option("--skipped", is_flag=True, help="Name every file that was skipped, with the reason.")
@click.option("--notes", is_flag=True, help="Name every stored file that was not read whole, or not exactly.")
@common.common
def status(
    collection: str | None,
    watch: bool,
    failed: bool,
    skipped: bool,
    notes: bool,
    database: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Show what sources hold, what is under way, and who works on it."""
    chosen = common.settings(database, home)
    states = [name for name, wanted in (("failed", failed), ("skipped", skipped)) if wanted]
    with common.open_session(chosen) as session:
        while True:
            found = collect(session, chosen, collection, states, notes=notes)
            if as_json:
                emit("complete", **found)
            else:
                text = "\n".join(lines(found, states))
                say(f"\x1b[H\x1b[J{text}" if watch and sys.stdout.isatty() else text)
            if not watch:
                return 0
            sys.stdout.flush()
            time.sleep(WATCH_EVERY_S)


def collect(
    session: Any, chosen: Any, collection: str | None, states: list[str], *, notes: bool = False
) -> dict[str, Any]:
    from leasehold.documents import reports
    from leasehold.documents.sync import find_collection
    from leasehold.kernel import bounds, breakers, checks, conditions, groups, holders, pauses
    from leasehold.stores import pg

    if collection is not None:
        find_collection(session, collection)
    sources = reports.source_states(session, collection)
    ids = [one.source_id for one in sources]
    living = holders.living(session)
    return {
        "database": chosen.target.described(),
        "routes": routes_of(chosen),
        "vectors": "pgvector" if pg.has_pgvector(session) else "exact search without pgvector",
        "sources": [asdict(one) for one in sources],
        "groups": [asdict(state) for one in groups.open_ids(session) if (state := groups.state(session, one))],
        "holders": [asdict(one) for one in living],
        "conditions": [asdict(one) for one in conditions.conditions(conditions.standing(session), living)],
        "paused": [asdict(one) for one in pauses.current(session)],
        "bounds": [asdict(one) for one in bounds.current(session)],
        "breakers": [asdict(one) for one in breakers.current(session)],
        "refused_late_writes": checks.refusals(session),
        "troubles": [one.as_dict() for one in reports.troubles(session, states=states, sources=ids, limit=10_000)]
        if states
        else [],
        "notes": [asdict(one) for one in reports.noted(session, ids, limit=10_000)[0]] if notes else [],
    }


def routes_of(chosen: Any) -> list[dict[str, Any]]:
    """The routes as a worker started now would find them; looked for once, however long the watch goes on."""
    from leasehold.db import routes
    from leasehold.db.line import BROKEN

    try:
        found = routes.of(chosen.target).found()
    except BROKEN as error:
        log.warning("the direct route cannot be looked for now: %s", error)
        return []
    return [found.pooled.as_dict(), found.direct.as_dict()]


def route_lines(found: list[dict[str, Any]]) -> list[str]:
    """One line, where there is more to say than that there is one server."""
    direct = next((one for one in found if one["route"] == "direct"), None)
    if direct is None or {one["mode"] for one in found} == {"server"}:
        return []
    degraded = f"; DEGRADED: {direct['degraded']}" if direct["degraded"] else ""
    return [f"direct route: {direct['mode']}, {direct['origin']}{degraded}"]


def lines(found: dict[str, Any], states: list[str]) -> list[str]:
    said = [f"database: {found['database']}, {found['vectors']}", *route_lines(found["routes"])]
    for one in found["sources"]:
        counts = ", ".join(f"{n:,} {state}" for state, n in sorted(one["states"].items())) or "nothing yet"
        cut = "" if one["complete_scan"] else "; its last scan was not applied to its end: run ingest again"
        said.append(f"{one['collection']}: {one['file']}: {counts}{cut}")
    if not found["sources"]:
        said.append("no sources yet: leasehold ingest PATH")
    for one in found["groups"]:
        ended = one["succeeded"] + one["failed"] + one["cancelled"]
        said.append(
            f"group {one['group_id']}: {ended:,} of {one['added']:,} runs ended, "
            f"{one['failed']:,} failed: {one['label']}"
        )
    said += [condition_line(one) for one in found["conditions"]]
    for one in found["paused"]:
        why = f" ({one['why']})" if one["why"] else ""
        said.append(f"{one['what']} {one['name']} is paused {shown_end(one['until'])} by {one['by']}{why}")
    said += [f"{one['what']} {one['name']}: {one['runs_open']:,} of at most {one['runs_max']:,} runs open"
             for one in found["bounds"]]  # fmt: skip
    said += [breaker_line(one) for one in found["breakers"]]
    for one in found["holders"]:
        late = "; EXPIRED, about to be reaped" if one["expired"] else ""
        if one["silent"]:
            late += f"; SILENT for {one['silent_s']:.0f} s while work waits: {one['silent']}"
        if one["drain"]:
            late += f"; drained by {one['drained_by']}"
        said.append(f"{one['kind']} {one['name']} (pid {one['pid']}): holds {holdings(one)}, "
                    f"heard {one['heard_s']:.0f} s ago{late}")  # fmt: skip
    if found["groups"] and not [one for one in found["holders"] if one["kind"] == "worker"]:
        said.append("work is queued and no worker runs: leasehold worker, or run the ingest again")
    if found["refused_late_writes"]:
        late_writes = ", ".join(f"{n:,} by {verb}" for verb, n in sorted(found["refused_late_writes"].items()))
        said.append(f"late writes refused: {late_writes}")
    for one in found["troubles"]:
        remedy = f" -> {one['remedy']}" if one["remedy"] else ""
        detail = f" ({one['detail'].splitlines()[-1]})" if one["detail"] else ""
        said.append(f"{one['state']}: {one['path']}: {one['reason']}{detail}{remedy}")
    for one in found["notes"]:
        said += [f"noted: {one['path']}: {note}" for note in one["notes"]]
    failures = sum(one["states"].get("failed", 0) for one in found["sources"])
    if failures and "failed" not in states:
        said.append(f"{counted(failures, 'file')} failed: leasehold status --failed")
    return said


def condition_line(one: dict[str, Any]) -> str:
    """Work that does not go on: one of the four words, how much, since when, why."""
    age = f", the oldest for {one['age_s']:.0f} s" if one["age_s"] is not None else ""
    return f"{one['word'].upper()}: {counted(one['steps'], 'step')} of {one['kind']}{age}: {one['why']}"


def holdings(holder: dict[str, Any]) -> str:
    """What a process holds: steps, locks, or nothing."""
    steps = [counted(holder["steps"], "step")] if holder["steps"] or not holder["seats"] else []
    return " and ".join([*steps, *holder["seats"]])
