"""Ingest: sync one or more folders into a collection and stay until everything they hold has a verdict.

The parent plans, applies and waits; a keeper's children do the work. What an earlier ingest left unfinished, or another
one is doing right now, is finished together with it: the steps are the database's, whoever claims them. Interrupted at
any moment, the next ingest goes on.

Not here: the terminal (a listener gets `Progress`), what a step does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.documents import sync
from leasehold.documents.kinds import WORKFLOW
from leasehold.documents.recipes import Parameters
from leasehold.documents.sync import Planned, Source
from leasehold.kernel import checks, groups
from leasehold.kernel.steps import step_name
from leasehold.options import LeaseOptions, SourceOptions
from leasehold.stores import pg
from leasehold.worker.documents import FACTORY
from leasehold.worker.keeper import Happening, Keeper, KeeperConfig

PACKAGE = "leasehold.documents"
LOOK_EVERY_S = 0.25
PASSES_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """What to ingest and with how many hands.

    Args:
        workers: documents worked at once, spread over the processes.
        timeout_s: time box for all of it; None: until done.
    """

    target: Target
    paths: Sequence[Path]
    collection: str = "default"
    parameters: Parameters
    options: SourceOptions = field(default_factory=SourceOptions)
    lease: LeaseOptions = field(default_factory=LeaseOptions)
    processes: int = 2
    workers: int = 4
    timeout_s: float | None = None
    step_timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at the work. `kinds` maps each kind to (ended, of how many, leased now)."""

    phase: str
    elapsed_s: float
    added: int
    ended: int
    failed: int
    kinds: dict[str, tuple[int, int, int]]
    processes: int


@dataclass(slots=True)
class Report:
    """How an ingest ended. `outcome` is complete, failed, partial or interrupted."""

    outcome: str = "complete"
    elapsed_s: float = 0.0
    seen: int = 0
    excluded: int = 0
    new: int = 0
    changed: int = 0
    renamed: int = 0
    deleted: int = 0
    unchanged: int = 0
    rechecked: int = 0
    runs: int = 0
    computed: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, dict[str, int]] = field(default_factory=dict)
    """state -> reason -> items, over all sources; the reason of stored and pending is ''."""
    redone: list[dict[str, Any]] = field(default_factory=list)
    """Steps that were given back by a dead or stopped worker and done again: step, why, charged."""
    refused: int = 0
    groups: list[int] = field(default_factory=list)
    stored_now: int = 0
    """Of the stored items, those that runs of this ingest's groups stored; the rest were unchanged."""

    def count(self, state: str) -> int:
        return sum(self.verdicts.get(state, {}).values())


class Ingest:
    """One ingest. `run` blocks; `stop` and `stop_now` may be called from a signal handler or another thread."""

    def __init__(
        self,
        config: IngestConfig,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        on_happening: Callable[[Happening], None] | None = None,
        on_planned: Callable[[Planned], None] | None = None,
    ) -> None:
        self.config = config
        self._on_progress = on_progress or (lambda progress: None)
        self._on_happening = on_happening or (lambda happening: None)
        self._on_planned = on_planned or (lambda planned: None)
        self._stop = threading.Event()
        self._session = Session(config.target, application_name="leasehold ingest", patience_s=60.0)
        self._watch_session = Session(config.target, application_name="leasehold progress", patience_s=60.0)
        self._report = Report()
        self._sources: list[Source] = []
        self._groups: set[int] = set()
        self.keeper: Keeper | None = None
        self._began = time.monotonic()

    @property
    def source_ids(self) -> list[int]:
        return [source.source_id for source in self._sources]

    def stop(self) -> None:
        self._stop.set()

    def stop_now(self) -> None:
        self._stop.set()
        if self.keeper is not None:
            self.keeper.stop_now()

    def run(self) -> Report:
        """Plan, apply, work, wait; everything the sources hold has a verdict when the outcome is complete."""
        try:
            self._open()
            for _ in range(PASSES_MAX):
                self._sync_all()
                if self._wait() or not self._unread():
                    break
        finally:
            if self.keeper is not None:
                self.keeper.stop(10.0 if not self._stop.is_set() else 5.0)
        return self._close()

    # -- sync ---------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        config, session = self.config, self._session
        kinds = groups.chain(*WORKFLOW)
        self._workflow = groups.register(session, "documents", kinds)
        collection = sync.open_collection(session, config.collection, config.parameters)
        self._sources = [sync.open_source(session, collection, path, config.options) for path in config.paths]

    def _sync_all(self) -> None:
        for source in self._sources:
            planned = sync.plan(self._session, source)
            self._on_planned(planned)
            if sync.open_groups(self._session, [source]) or planned.to_run:
                self._start_keeper()
            group_id = sync.apply(self._session, planned, self._workflow, self._started)
            self._add_up(planned, group_id)

    def _started(self, group_id: int) -> None:
        self._groups.add(group_id)

    def _add_up(self, planned: Planned, group_id: int | None) -> None:
        report, decided = self._report, planned.plan
        first = group_id is not None and group_id not in report.groups
        report.seen = max(report.seen, 0) + (planned.seen if not report.groups or first else 0)
        report.excluded += planned.counts.excluded_files + planned.counts.excluded_directories
        report.new += len(decided.new)
        report.changed += len(decided.changed)
        report.renamed += len(decided.renamed)
        report.deleted += len(decided.deleted)
        report.unchanged += decided.unchanged
        report.rechecked += planned.rechecked
        report.runs += len(planned.to_run)
        if group_id is not None:
            report.groups.append(group_id)

    def _start_keeper(self) -> None:
        if self.keeper is not None:
            return
        config = self.config
        per_process = max(1, -(-config.workers // config.processes))
        self.keeper = Keeper(
            KeeperConfig(
                target=config.target,
                kinds=FACTORY,
                kind_options={"step_timeout_s": config.step_timeout_s},
                processes=config.processes,
                consumers={"*": per_process},
                lease=config.lease,
                poll_max_s=0.5,
            ),
            self._happened,
        )
        self.keeper.start()

    def _happened(self, happening: Happening) -> None:
        for step_id in happening.steps:
            self._report.redone.append({"step": step_name(step_id), "why": happening.detail, "charged": False})
        if happening.charged is not None:
            self._report.redone.append(
                {"step": step_name(happening.charged), "why": happening.detail, "charged": True}
            )
        self._on_happening(happening)

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _wait(self) -> bool:
        """Until the sources' groups have ended; True if it was cut short."""
        open_groups = self._open_groups()
        cost_s = 0.0
        while open_groups:
            began = time.monotonic()
            ended = self._look(open_groups)
            cost_s = time.monotonic() - began
            if ended:
                for group_id in open_groups:
                    groups.seal(self._watch_session, group_id)
                open_groups = self._open_groups()
                continue
            if self._cut_short(max(LOOK_EVERY_S, cost_s * 4)):
                return True
        return self._stop.is_set()

    def _open_groups(self) -> list[int]:
        found = sync.open_groups(self._watch_session, self._sources)
        self._groups.update(found)
        return found

    def _cut_short(self, pause_s: float) -> bool:
        timeout_s = self.config.timeout_s
        if timeout_s is not None and time.monotonic() - self._began > timeout_s:
            self._report.outcome = "partial"
            return True
        if self._stop.wait(pause_s):
            self._report.outcome = "interrupted"
            return True
        return False

    def _look(self, open_groups: list[int]) -> bool:
        """Tell the listener how far it is; True when every run of these groups has ended."""
        states = [state for group_id in open_groups if (state := groups.state(self._watch_session, group_id))]
        added, ended = sum(one.added for one in states), sum(one.ended for one in states)
        self._on_progress(
            Progress(
                "work",
                time.monotonic() - self._began,
                added,
                ended,
                sum(one.failed for one in states),
                self._kinds(open_groups, added),
                len(self.keeper.pids()) if self.keeper else 0,
            )
        )
        return ended == added

    def _kinds(self, open_groups: list[int], added: int) -> dict[str, tuple[int, int, int]]:
        waiting = dict.fromkeys(WORKFLOW, 0)
        leased = dict.fromkeys(WORKFLOW, 0)
        for kind, state, n in self._watch_session.fetch(load(PACKAGE, "progress"), (open_groups,)):
            waiting[kind] = waiting.get(kind, 0) + n
            if state == "leased":
                leased[kind] = n
        return {kind: (max(0, added - waiting[kind]), added, leased[kind]) for kind in WORKFLOW}

    def _unread(self) -> bool:
        """Whether files changed while they were read, so that another look at the folder is worth it."""
        rows = self._session.fetch(load(PACKAGE, "verdicts"), {"sources": [one.source_id for one in self._sources]})
        return any(state == "skipped" and reason == "changed while it was read" for _, state, reason, _ in rows)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _close(self) -> Report:
        report, session = self._report, self._session
        if report.outcome == "complete" and report.runs:
            for source in self._sources[:1]:
                pg.ensure_vector_index(
                    session, source.collection.collection_id, source.collection.parameters.dimensions
                )
        for _, state, reason, n in session.fetch(
            load(PACKAGE, "verdicts"), {"sources": [one.source_id for one in self._sources]}
        ):
            by_reason = report.verdicts.setdefault(state, {})
            by_reason[reason or ""] = by_reason.get(reason or "", 0) + n
        report.groups = sorted(self._groups)
        report.computed = dict(session.fetch(load(PACKAGE, "computed"), (report.groups,))) if report.groups else {}
        report.stored_now = session.fetch(load(PACKAGE, "stored_by"), (self.source_ids, report.groups))[0][0]
        report.refused = sum(checks.refusals(session).values())
        if report.outcome == "complete" and report.count("failed"):
            report.outcome = "failed"
        elif report.outcome == "complete" and report.count("pending"):
            report.outcome = "partial"
        report.elapsed_s = time.monotonic() - self._began
        session.close()
        self._watch_session.close()
        return report
