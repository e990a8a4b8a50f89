"""Ingest: sync one or more folders into a collection and stay until everything they hold has a verdict.

The parent plans, applies and waits; a keeper's children do the work. What an earlier ingest left unfinished, or another
one is doing right now, is finished together with it: the steps are the database's, whoever claims them. Interrupted at
any moment, the next ingest goes on.

Not here: the terminal (a listener gets `Progress`), what a step does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leasehold.artifacts.keeping import Artifacts
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.documents import sync
from leasehold.documents.account import SourceAccount
from leasehold.documents.kinds import WORKFLOW, workflow
from leasehold.documents.models import Models
from leasehold.documents.recipes import Parameters
from leasehold.documents.sync import Planned, Source, Stopped
from leasehold.documents.turns import turn
from leasehold.errors import LeaseholdError, MassDelete, Refused, SeatLost, UsageError
from leasehold.kernel import checks, groups, hooks
from leasehold.kernel.holding import hold
from leasehold.kernel.hooks import Hook
from leasehold.kernel.steps import step_name
from leasehold.logs import TEXT
from leasehold.options import ArtifactOptions, DoclingOptions, EmbedOptions, LeaseOptions, ReaderOptions, SourceOptions
from leasehold.sources.paths import canonical_root
from leasehold.steps.docling import open_docling
from leasehold.stores import searching
from leasehold.worker import room
from leasehold.worker.bus import LifecycleBus
from leasehold.worker.documents import FACTORY
from leasehold.worker.keeper import Happening, Keeper, KeeperConfig
from leasehold.worker.tail import Tail
from leasehold.worker.tallies import Numbers

log = logging.getLogger("leasehold.worker")

PACKAGE = "leasehold.documents"
LOOK_EVERY_S = 0.25
TURN_EVERY_S = 0.1
FULL_EVERY_S = 0.2
"""Between two tries to start runs that a bound does not let in yet."""
PASSES_MAX = 3
"""Looks at the folders. What still changes while it is read by then is left to the next ingest, which says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """What to ingest and with how many hands.

    Args:
        parameters: of chunking; which embedder it is, `embed` and the collection say.
        given: which of the parameters are meant ("chunk.size"), where the collection keeps the others; None: all.
        workers: documents worked at once, spread over the processes.
        timeout_s: time box for all of it; None: until done.
        allow_mass_delete: also apply a scan that would delete most of its source.
        weight, priority: its turns among other groups that wait for workers.
        log_level, log_format: of its worker processes.
        metrics: whether its worker processes count what they do, for `Ingest.numbers`.
        hooks: what is called when its groups, documents or steps start, end or fail.
        wait_hooks: stay until the calls for its groups have ended too; else they are left to the next worker.
        folders: where functions of hooks are looked for, besides what is installed.
        bus: whose observers hear what happens meanwhile; they can hold nothing up.
    """

    target: Target
    paths: Sequence[Path]
    collection: str = "default"
    parameters: Parameters
    given: frozenset[str] | None = None
    embed: EmbedOptions = field(default_factory=EmbedOptions)
    readers: ReaderOptions = field(default_factory=ReaderOptions)
    docling: DoclingOptions = field(default_factory=DoclingOptions)
    options: SourceOptions = field(default_factory=SourceOptions)
    lease: LeaseOptions = field(default_factory=LeaseOptions)
    processes: int = 2
    workers: int = 4
    timeout_s: float | None = None
    step_timeout_s: float = 120.0
    memory_max_bytes: int = 0
    artifacts: ArtifactOptions = field(default_factory=ArtifactOptions)
    allow_mass_delete: bool = False
    weight: int = 1
    priority: int = 0
    log_level: str = "WARNING"
    log_format: str = TEXT
    metrics: bool = False
    hooks: Sequence[Hook] = ()
    wait_hooks: bool = True
    folders: Sequence[str] = ()
    bus: LifecycleBus | None = None

    @property
    def kind_options(self) -> dict[str, Any]:
        """For the kinds that the workers make."""
        return {
            "step_timeout_s": self.step_timeout_s,
            "embed": asdict(self.embed),
            "readers": asdict(self.readers),
            "docling": asdict(self.docling),
            "artifacts": asdict(self.artifacts),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at the work. `kinds` maps each kind to (ended, of how many, leased now).

    `phase` is work, or hooks: all documents have ended, and calls of hooks are waited for, which are counted then; or
    index: everything is stored, and the vector index is looked after, which may take minutes.
    """

    phase: str
    elapsed_s: float
    added: int
    ended: int
    failed: int
    kinds: dict[str, tuple[int, int, int]]
    processes: int


@dataclass(slots=True)
class Report:
    """How an ingest ended. `outcome` is complete, failed, partial or interrupted.

    Each file counts once, however many looks it took: seen = new + changed + renamed + retried + unchanged + oddities +
    sheltered (known, but nothing could be learnt of it now); `rechecked` of the unchanged had to be read to know.
    """

    outcome: str = "complete"
    elapsed_s: float = 0.0
    seen: int = 0
    excluded: int = 0
    new: int = 0
    changed: int = 0
    renamed: int = 0
    deleted: int = 0
    unchanged: int = 0
    retried: int = 0
    rechecked: int = 0
    sheltered: int = 0
    runs: int = 0
    passes: int = 0
    computed: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, dict[str, int]] = field(default_factory=dict)
    """state -> reason -> items, over all sources; the reason of stored and pending is ''."""
    redone: list[dict[str, Any]] = field(default_factory=list)
    """Steps that were given back by a dead or stopped worker and done again: step, why, charged."""
    refused: int = 0
    """Late writes that were refused while this ingest ran, its own and others'."""
    groups: list[int] = field(default_factory=list)
    hooks: dict[str, dict[str, int]] = field(default_factory=dict)
    """hook -> where its calls for these groups stand -> how many."""
    stored_now: int = 0
    """Of the stored items, those that were stored while this ingest ran; the rest were unchanged."""

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
        self.report = Report()
        """Filled in when `run` ends, also when it raises."""
        self.keeper: Keeper | None = None
        self._on_progress = on_progress or (lambda progress: None)
        self._on_happening = on_happening or (lambda happening: None)
        self._on_planned = on_planned or (lambda planned: None)
        self._stop = threading.Event()
        self._session = Session(config.target, application_name="leasehold ingest", patience_s=60.0)
        self._sources: list[Source] = []
        self._accounts: dict[int, SourceAccount] = {}
        self._refusals: dict[int, MassDelete] = {}
        self._groups: set[int] = set()
        self._called: set[int] = set()
        self._busy = False
        self._refused_before = 0
        self._began_at: Any = None
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
        """Plan, apply, work, wait; everything the sources hold has a verdict when the outcome is complete.

        Raises:
            UsageError: one of the paths cannot be opened; nothing was done.
            MassDelete: a source would lose most of what is known of it; that source was left as it is, the others are
                done first.
            Refused: another ingest changed the collection's parameters meanwhile; its word is the last.
        """
        tail = Tail(self.config.target, self.config.bus) if self.config.bus is not None else None
        try:
            if tail is not None:
                tail.start()
            self._open()
            while self._pass():
                pass
            self._wait_for_hooks()
            self._stop_keeper()
            self._finish()
            self._close()
        finally:
            self._stop_keeper()
            self._session.close()
            if tail is not None:
                tail.stop()
        if self._refusals:
            raise next(iter(self._refusals.values()))
        return self.report

    def _pass(self) -> bool:
        """One look at all sources, and the work it gives; True if another look is worth it."""
        self.report.passes += 1
        self._busy = False
        for source in self._sources:
            if not self._sync(source):
                return False
        if self._wait():
            return False
        self._check_parameters()
        again = self._busy or any(sync.worth_another_look(self._session, one) for one in self._sources)
        if again and self.report.passes >= PASSES_MAX:
            self.report.outcome = "partial"
            return False
        return again

    # -- sync ---------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        config, session = self.config, self._session
        roots = dict.fromkeys(canonical_root(path) for path in config.paths)  # before anything is written
        self._refused_before = sum(checks.refusals(session).values())
        self._began_at = session.fetch(load(PACKAGE, "database_now"))[0][0]
        Artifacts(config.target, config.artifacts).settle(session)
        self._workflow = groups.register(session, "documents", workflow(), hooks=config.hooks)
        parameters = Models(config.embed).settle(session, config.collection, config.parameters, config.given)
        self._check_docling(parameters)
        collection = sync.open_collection(session, config.collection, parameters)
        self._sources = [sync.open_source(session, collection, root, config.options) for root in roots]
        self._accounts = {source.source_id: SourceAccount() for source in self._sources}

    def _check_docling(self, parameters: Parameters) -> None:
        """Before anything is written: its documents would wait for somebody who knows a server."""
        if parameters.docling is None:
            return
        if not self.config.docling.urls:
            raise UsageError(
                f"The collection '{self.config.collection}' has documents read by docling, and no server is named.",
                remedy="Set readers.docling.urls, for example to http://localhost:5001.",
            )
        open_docling(self.config.docling).close()

    def _sync(self, source: Source) -> bool:
        """Plan and apply one source, when it is its turn; False if it was cut short."""
        if source.source_id in self._refusals:
            return True
        while True:
            with turn(self.config.target, f"sync of source {source.source_id}") as mine:
                if mine:
                    return self._plan_and_apply(source)
            if self._cut_short(TURN_EVERY_S):
                return False

    def _plan_and_apply(self, source: Source) -> bool:
        self._groups.update(sync.seal_abandoned(self._session, source))
        try:
            planned = sync.plan(self._session, source, stopping=self._stopping)
        except Stopped:
            return not self._cut_short(0.0)
        self._on_planned(planned)
        try:
            sync.check(planned, allow_mass_delete=self.config.allow_mass_delete)
        except MassDelete as refusal:
            refusal.context["source"] = source.uri
            self._refusals[source.source_id] = refusal
            return True
        if planned.to_run or sync.open_groups(self._session, [source]):
            self._start_keeper()
        sync.apply(
            self._session,
            planned,
            self._workflow,
            self._groups.add,
            allow_mass_delete=self.config.allow_mass_delete,
            stopping=self._stopping,
            when_full=lambda: not self._cut_short(FULL_EVERY_S),
            weight=self.config.weight,
            priority=self.config.priority,
        )
        self._busy = self._busy or planned.busy > 0
        self._accounts[source.source_id].add(planned)
        return planned.applied or not self._cut_short(0.0)

    def _stopping(self) -> bool:
        return self._stop.is_set() or self._is_late()

    def _check_parameters(self) -> None:
        if not self._sources:
            return
        mine = self._sources[0].collection
        if sync.find_collection(self._session, mine.name).parameters != mine.parameters:
            raise Refused(
                "Another ingest has given the collection other parameters meanwhile.",
                remedy="Agree on one set of parameters, then run ingest again.",
                collection=mine.name,
            )

    def _start_keeper(self) -> None:
        if self.keeper is not None:
            return
        config = self.config
        per_process = max(1, -(-config.workers // config.processes))
        room.check(config.target, room.of_keeper(config.processes, per_process, scans=True))
        self.keeper = Keeper(
            KeeperConfig(
                target=config.target,
                kinds=FACTORY,
                kind_options=config.kind_options,
                memory_max_bytes=config.memory_max_bytes,
                processes=config.processes,
                folders=config.folders,
                consumers={"*": per_process},
                lease=config.lease,
                poll_max_s=0.5,
                metrics=config.metrics,
                log_level=config.log_level,
                log_format=config.log_format,
            ),
            self._happened,
        )
        self.keeper.start()

    def numbers(self) -> Numbers:
        """What its worker processes did so far; nothing before they start."""
        return self.keeper.numbers() if self.keeper is not None else Numbers()

    def _stop_keeper(self) -> None:
        if self.keeper is not None:
            self.keeper.stop(10.0 if not self._stop.is_set() else 5.0)

    def _happened(self, happening: Happening) -> None:
        for step_id in happening.steps:
            self.report.redone.append({"step": step_name(step_id), "why": happening.detail, "charged": False})
        if happening.charged is not None:
            self.report.redone.append({"step": step_name(happening.charged), "why": happening.detail, "charged": True})
        self._on_happening(happening)

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _wait(self) -> bool:
        """Until the sources' groups have ended; True if it was cut short."""
        open_groups = self._open_groups()
        while open_groups:
            began = time.monotonic()
            if self._look(open_groups):
                self._complete(open_groups)
            cost_s = time.monotonic() - began
            open_groups = self._open_groups()
            if open_groups and self._cut_short(max(LOOK_EVERY_S, cost_s * 4)):
                return True
        return self._cut_short(0.0)

    def _open_groups(self) -> list[int]:
        found = sync.open_groups(self._session, self._sources)
        self._groups.update(found)
        return found

    def _complete(self, open_groups: list[int]) -> None:
        """Count what has ended; seal what an ingest that died has left open (one that lives has its turn)."""
        for group_id in open_groups:
            groups.fold(self._session, group_id)
        for source in self._sources:
            with turn(self.config.target, f"sync of source {source.source_id}") as mine:
                if mine:
                    sync.seal_abandoned(self._session, source)

    def _is_late(self) -> bool:
        timeout_s = self.config.timeout_s
        return timeout_s is not None and time.monotonic() - self._began > timeout_s

    def _cut_short(self, pause_s: float) -> bool:
        if self._is_late():
            self.report.outcome = "partial"
            return True
        if self._stop.wait(pause_s):
            self.report.outcome = "interrupted"
            return True
        if self.keeper is not None and self.keeper.drained:
            self.report.outcome = "partial"
            return True
        if self.keeper is not None and not self.keeper.alive:
            raise LeaseholdError("The workers' keeper has failed.", remedy="Read the log above; run ingest again.")
        return False

    def _look(self, open_groups: list[int]) -> bool:
        """Tell the listener how far it is; True when every run of these groups has ended."""
        states = [state for group_id in open_groups if (state := groups.state(self._session, group_id))]
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
        for kind, state, n in self._session.fetch(load(PACKAGE, "progress"), (open_groups,)):
            waiting[kind] = waiting.get(kind, 0) + n
            if state == "leased":
                leased[kind] = n
        return {kind: (max(0, added - waiting[kind]), added, leased[kind]) for kind in WORKFLOW}

    def _wait_for_hooks(self) -> None:
        """Until the calls for these groups have ended, and those that an earlier ingest of these sources has left."""
        if not self.config.wait_hooks or self.report.outcome != "complete":
            return
        waited: set[int] = set()
        while still := self._groups_with_calls():
            waited |= still
            self._start_keeper()
            began = time.monotonic()
            counted = hooks.counts(self._session, sorted(waited))
            self._on_progress(self._calls_progress(counted))
            if self._cut_short(max(LOOK_EVERY_S, (time.monotonic() - began) * 4)):
                break
        self._called = waited

    def _groups_with_calls(self) -> set[int]:
        still = hooks.open_groups(self._session)
        if not still:
            return still
        rows = self._session.fetch(load(PACKAGE, "groups_among"), (self.source_ids, sorted(still)))
        return {row[0] for row in rows} | (still & self._groups)

    def _calls_progress(self, counted: dict[str, dict[str, int]]) -> Progress:
        total = sum(n for states in counted.values() for n in states.values())
        failed = sum(states.get("failed", 0) for states in counted.values())
        elapsed_s = time.monotonic() - self._began
        processes = len(self.keeper.pids()) if self.keeper else 0
        return Progress("hooks", elapsed_s, total, total - hooks.under_way(counted), failed, {}, processes)

    # -- the end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The vector index, once the collection is large enough; it takes minutes, and one process makes it."""
        if self.report.outcome != "complete" or not any(one.runs for one in self._accounts.values()):
            return
        collection = self._sources[0].collection
        try:
            with hold(self._session, f"index:{collection.collection_id}", lease=self.config.lease):
                elapsed_s = time.monotonic() - self._began
                self._on_progress(Progress("index", elapsed_s, 0, 0, 0, {}, 0))
                width = collection.parameters.dimensions
                with Session(self.config.target, route="direct", application_name="leasehold index") as direct:
                    searching.ensure_vector_index(direct, collection.collection_id, width)
        except Refused as busy:
            log.info("the vector index is left to who has its lock: %s", busy.message)
        except SeatLost as lost:  # at its end: what was built is there, or the next ingest builds it
            log.warning("while the vector index was looked after: %s", lost)

    def _close(self) -> None:
        report, session = self.report, self._session
        for account in self._accounts.values():
            report.seen += account.seen
            report.excluded += account.excluded
            report.new += account.count("new")
            report.changed += account.count("changed")
            report.renamed += account.count("renamed")
            report.retried += account.count("retried")
            report.deleted += len(account.deleted)
            report.unchanged += account.unchanged
            report.rechecked += account.rechecked
            report.sheltered += account.sheltered
            report.runs += account.runs
        for _, state, reason, n in session.fetch(load(PACKAGE, "verdicts"), {"sources": list(self._accounts)}):
            by_reason = report.verdicts.setdefault(state, {})
            by_reason[reason or ""] = by_reason.get(reason or "", 0) + n
        report.groups = sorted(self._groups)
        report.hooks = hooks.counts(session, sorted(self._groups | self._called))
        report.computed = (
            dict(session.fetch(load(PACKAGE, "computed"), (report.groups, self._began_at))) if report.groups else {}
        )
        report.stored_now = session.fetch(load(PACKAGE, "stored_by"), (self.source_ids, self._began_at))[0][0]
        report.refused = sum(checks.refusals(session).values()) - self._refused_before
        calls_failed = self.config.wait_hooks and any(states.get("failed") for states in report.hooks.values())
        if report.outcome == "complete" and (report.count("failed") or calls_failed):
            report.outcome = "failed"
        elif report.outcome == "complete" and (report.count("pending") or report.count("cancelled")):
            report.outcome = "partial"
        report.elapsed_s = time.monotonic() - self._began
