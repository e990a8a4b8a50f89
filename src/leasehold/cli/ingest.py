"""`leasehold ingest`: the main job."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import by_reason, counted, emit, note, parse_time, say
from leasehold.cli.config import Settings
from leasehold.cli.pausing import shown_end
from leasehold.errors import UsageError

EXIT = {"complete": 0, "failed": 1, "partial": 3, "interrupted": 130}
FAILURES_SHOWN = 10
ENDED, WAITING = ("succeeded", "failed", "cancelled"), ("ready", "delayed", "leased")
"""Where calls of hooks may stand."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=common.PathThere(), metavar="PATH...")
@click.option("--into", metavar="COLLECTION", help="Collection to bring the documents into [default].")
@click.option("--workers", type=int, metavar="N", help="Documents worked at once, over all processes [2 per process].")
@click.option("--processes", type=int, metavar="P", help="Worker processes [one per core].")
@click.option("--weight", type=int, metavar="N", help="Its part of the workers while other work waits too [1].")
@click.option("--priority", type=int, metavar="N", help="Higher first; lower ones are slowed down, not starved [0].")
@click.option("--include", multiple=True, metavar="PATTERN", help="Take only files that match (gitignore style).")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out files that match (gitignore style).")
@click.option("--max-bytes", type=int, metavar="N", help="Files larger than this fail with that reason [100000000].")
@click.option(
    "--embedder", metavar="NAME", help="hashing, openai:MODEL or local:FOLDER [the collection's, else hashing]."
)
@click.option("--base-url", metavar="URL", help="Where the model is: http://localhost:11434/v1 [OpenAI's own].")
@click.option("--timeout", metavar="TIME", help="Time box for all of it: 90, 90s, 5m, 1h. Exit 3: run again to go on.")
@click.option("--allow-mass-delete", is_flag=True, help="Let a sync delete most of a source.")
@click.option(
    "--no-wait-hooks", is_flag=True, help="Do not wait for calls of hooks; a worker or the next ingest makes them."
)
@click.option("--metrics", metavar="[HOST:]PORT", help="Answer Prometheus at /metrics; on 127.0.0.1 unless told.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a parameter: chunk.size=800.")
@common.common
def ingest(
    paths: tuple[Path, ...],
    into: str | None,
    workers: int | None,
    processes: int | None,
    weight: int | None,
    priority: int | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_bytes: int | None,
    embedder: str | None,
    base_url: str | None,
    timeout: str | None,
    allow_mass_delete: bool,
    no_wait_hooks: bool,
    metrics: str | None,
    sets: tuple[str, ...],
    database: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Bring folders (or single files) into a collection; only what changed is worked.

    Stop it at any time: the next ingest goes on where this one was.
    """
    chosen = common.settings(
        database,
        home,
        **{
            "ingest.collection": into,
            "ingest.workers": workers,
            "ingest.processes": processes,
            "ingest.weight": weight,
            "ingest.priority": priority,
            "source.include": include or None,
            "source.exclude": exclude or None,
            "source.max_bytes": max_bytes,
            **common.changes(sets),
            "embed.embedder": embedder,
            "embed.base_url": base_url,
        },
    )
    options = replace(chosen.source, mass_delete_ratio=1.0) if allow_mass_delete else chosen.source
    timeout_s = parse_time(timeout, "--timeout") if timeout else None
    return run_ingest(chosen, list(paths), options, timeout_s, as_json=as_json, allow_mass_delete=allow_mass_delete,
                      wait_hooks=not no_wait_hooks, metrics=metrics)  # fmt: skip


def run_ingest(
    chosen: Settings,
    paths: list[Path],
    options: Any,
    timeout_s: float | None,
    *,
    as_json: bool,
    allow_mass_delete: bool,
    wait_hooks: bool = True,
    metrics: str | None = None,
) -> int:
    from leasehold.cli.display import Display
    from leasehold.worker.ingest import Ingest

    check_paths(paths)
    session = common.open_session(chosen, write=True)
    warn_of_pauses(session, chosen.ingest.collection, paths)
    running: list[Ingest] = []
    told: set[tuple[str, str]] = set()

    def failures() -> list[str]:
        return new_failures(session, told)

    with Display(quiet=as_json, failures=failures) as display:
        config = config_of(
            chosen, paths, options, timeout_s, allow_mass_delete=allow_mass_delete, wait_hooks=wait_hooks
        )
        job = Ingest(
            replace(config, metrics=metrics is not None),
            on_progress=display.progress,
            on_happening=display.happened,
        )
        served = common.serve_metrics(metrics, job.numbers, chosen.target) if metrics is not None else None
        running.append(job)
        stop_on_signals(job)
        report = job.run()
        if served is not None:
            served.close()
    emit_report(session, job, report, as_json=as_json, collection=chosen.ingest.collection)
    session.close()
    return EXIT[report.outcome]


def config_of(
    chosen: Settings,
    paths: list[Path],
    options: Any,
    timeout_s: float | None,
    *,
    allow_mass_delete: bool = False,
    wait_hooks: bool = True,
) -> Any:
    from leasehold.documents.recipes import ByDocling, Parameters
    from leasehold.kernel.hooks import Hook
    from leasehold.worker.ingest import IngestConfig

    processes, workers = hands(chosen)
    extra: dict[str, Any] = {"allow_mass_delete": True} if allow_mass_delete else {}
    return IngestConfig(
        target=chosen.target,
        paths=paths,
        collection=chosen.ingest.collection,
        parameters=Parameters(chosen.chunk, docling=ByDocling.of(chosen.docling)),
        given=chosen.given,
        embed=chosen.embed,
        readers=chosen.readers,
        artifacts=chosen.artifacts,
        docling=chosen.docling,
        options=options,
        lease=chosen.lease,
        processes=processes,
        workers=workers,
        timeout_s=timeout_s,
        step_timeout_s=chosen.ingest.step_timeout_s,
        memory_max_bytes=chosen.ingest.memory_mb * 1_000_000,
        weight=chosen.ingest.weight,
        priority=chosen.ingest.priority,
        **common.logging_of_children(),
        hooks=[Hook(**one) for one in chosen.hooks],
        wait_hooks=wait_hooks,
        folders=common.folders_of(common.places_of(chosen)),
        **extra,
    )


def hands(chosen: Settings) -> tuple[int, int]:
    """(processes, workers): one process per core and two documents a process, unless settings say otherwise."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = chosen.ingest.processes or cores
    workers = chosen.ingest.workers or 2 * processes
    return (min(processes, workers), workers)


def check_paths(paths: list[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise UsageError(f"There is nothing at {path}.", remedy="Check the spelling, and that its disk is mounted.")


def warn_of_pauses(session: Any, collection: str, paths: list[Path]) -> None:
    """An ingest waits for what somebody holds back; it says so before it does."""
    from leasehold.documents.kinds import WORKFLOW
    from leasehold.kernel import pauses, seats
    from leasehold.sources.paths import canonical_root, source_uri

    shares = {f"kind:{kind}" for kind in WORKFLOW}
    sources = {f"{collection}:{source_uri(canonical_root(path))}" for path in paths}
    mine = {"kind": set(WORKFLOW), "source": sources, "limit": shares}
    for one in pauses.current(session):
        if one.name in mine.get(one.what, ()):
            note(f"{one.what} {one.name} is paused {shown_end(one.until)} by {one.by}, and is waited for: "
                 f"leasehold {one.what} resume {shlex.quote(one.name)}")  # fmt: skip
    for resource in seats.resources(session):
        if resource.key in shares and resource.seats == 0:
            note(f"limit {resource.key} is 0, and more are waited for: leasehold limit set {resource.key} 4")


def stop_on_signals(job: Any) -> None:
    """The first SIGINT or SIGTERM stops in good order, the second at once."""

    def stop() -> None:
        note("stopping: running steps finish, the rest is kept for the next ingest (again to stop at once)")
        job.stop()

    common.on_signals(stop, job.stop_now)


def new_failures(session: Any, told: set[tuple[str, str]]) -> list[str]:
    """Lines for failures that were not told yet, at most FAILURES_SHOWN in all."""
    from leasehold.documents import reports

    lines = []
    if len(told) < FAILURES_SHOWN:
        for one in reports.troubles(session, states=["failed"], limit=FAILURES_SHOWN * 2):
            if (one.uri, one.path) not in told and len(told) < FAILURES_SHOWN:
                told.add((one.uri, one.path))
                lines.append(f"{one.path}: {one.reason}")
    return lines


def emit_report(session: Any, job: Any, report: Any, *, as_json: bool, collection: str) -> None:
    from leasehold.cli.hook import line as hook_line
    from leasehold.documents import reports
    from leasehold.kernel import hooks

    limit = 1000 if as_json else FAILURES_SHOWN
    failed = reports.troubles(session, states=["failed"], sources=job.source_ids, limit=limit)
    calls = hooks.calls(session, group_ids=report.groups, states=["failed"], limit=limit) if report.hooks else []
    if as_json:
        emit_json(report, failed, collection)
        return
    for line in summary(report, collection):
        say(line)
    for one in failed:
        say(f"  failed: {one.path}: {one.reason}{f' ({one.detail})' if one.detail else ''}"
            f"{f' -> {one.remedy}' if one.remedy else ''}")  # fmt: skip
    if report.count("failed") > len(failed):
        say(f"  … and {report.count('failed') - len(failed):,} more: leasehold status --failed")
    if noted := reports.noted(session, job.source_ids, limit=1)[1]:
        say(f"  stored, but not read whole or not exactly: {counted(noted, 'file')}: leasehold status --notes")
    for call in calls:
        say(f"  hook failed: {hook_line(call)}")
    for line in hints(report, collection):
        note(line)


def summary(report: Any, collection: str) -> list[str]:
    head = {
        "complete": "complete",
        "failed": "complete, with failures",
        "partial": "partial: run it again to go on",
        "interrupted": "interrupted: run it again to go on",
    }[report.outcome]
    before = report.count("stored") - report.stored_now
    unstarted = not_started(report)
    lines = [
        f"{collection}: {head} in {report.elapsed_s:.1f} s",
        f"  seen {report.seen:,} {'=' if unstarted >= 0 else '≠'} stored {report.stored_now:,} + unchanged {before:,} "
        f"+ skipped {report.count('skipped'):,} + failed {report.count('failed'):,}"
        + (f" + pending {report.count('pending'):,}" if report.count("pending") else "")
        + (f" + not started {unstarted:,}" if unstarted > 0 else ""),
    ]
    moved = [f"{n:,} {word}" for n, word in ((report.new, "new"), (report.changed, "changed"),
                                             (report.renamed, "moved"), (report.deleted, "deleted")) if n]  # fmt: skip
    if moved:
        lines.append(f"  {', '.join(moved)}")
    if report.computed:
        done = {"parse": "parsed", "chunk": "chunked", "embed": "embedded"}
        lines.append("  " + ", ".join(f"{report.computed.get(kind, 0):,} {word}" for kind, word in done.items())
                     + " (what was known was not done again)")  # fmt: skip
    elif report.runs:
        lines.append("  nothing computed: all content was known")
    if report.verdicts.get("skipped"):
        lines.append(f"  skipped: {by_reason(report.verdicts['skipped'])}")
    if report.count("failed") > FAILURES_SHOWN:  # not all of them are named below
        lines.append(f"  failed, {counted(report.count('failed'), 'file')}: {by_reason(report.verdicts['failed'])}:"
                     " leasehold status --failed")  # fmt: skip
    if report.hooks:
        lines.append(f"  hooks: {'; '.join(calls_of(name, states) for name, states in report.hooks.items())}")
    if report.excluded:
        lines.append(f"  left out by patterns: {counted(report.excluded, 'entry', 'entries')}")
    if report.redone:
        lines.append(f"  given back by dead workers and done again: {counted(len(report.redone), 'step')}")
    return lines


def calls_of(name: str, states: dict[str, int]) -> str:
    """A hook's calls in words: notify called 3 times, 1 failed, 2 still to be made."""
    ended, waiting = (sum(states.get(one, 0) for one in some) for some in (ENDED, WAITING))
    failed = f", {states['failed']:,} failed" if states.get("failed") else ""
    return f"{name} called {counted(ended, 'time')}{failed}" + (f", {waiting:,} still to be made" if waiting else "")


def not_started(report: Any) -> int:
    """What the scan saw and nothing was begun for, because the ingest was cut short; negative: it was not even seen."""
    known = sum(report.count(state) for state in report.verdicts)
    return int(report.seen - known)


def hints(report: Any, collection: str) -> list[str]:
    into = "" if collection == "default" else f" --in {collection}"
    if unread := report.verdicts.get("skipped", {}).get("reader not installed"):
        note(f"{counted(unread, 'file')} could be read with more packages: leasehold status --skipped names them")
    if report.outcome == "complete" and sys.stderr.isatty():
        return [f'next: leasehold search "your question"{into}']
    if report.outcome == "failed" and not report.count("failed"):
        return ["next: mend what the hook calls, then leasehold hook retry --all"]
    if report.outcome == "failed":
        return ["next: mend the cause and ingest again (leasehold retry --failed tries unchanged files too)"]
    if report.outcome in ("partial", "interrupted"):
        return [f"next: leasehold {shlex.join(sys.argv[1:])}"]
    return []


def emit_json(report: Any, failed: list[Any], collection: str) -> None:
    emit(
        report.outcome,
        collection=collection,
        elapsed_s=round(report.elapsed_s, 3),
        seen=report.seen,
        stored=report.stored_now,
        unchanged=report.count("stored") - report.stored_now,
        skipped=report.verdicts.get("skipped", {}),
        failed=report.verdicts.get("failed", {}),
        pending=report.count("pending"),
        not_started=max(0, not_started(report)),
        excluded=report.excluded,
        new=report.new,
        changed=report.changed,
        renamed=report.renamed,
        deleted=report.deleted,
        rechecked=report.rechecked,
        computed=report.computed,
        redone=report.redone,
        refused_late_writes=report.refused,
        groups=report.groups,
        hooks=report.hooks,
        failures=[one.as_dict() for one in failed],
    )
