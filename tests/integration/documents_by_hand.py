"""Ingests without child processes, so that a test can be many of them, and can stand between two steps.

Everything is the real thing (scan, turns, kernel, pages, effects, store) except the processes: a thread claims pages
and works them one by one. `between` is called before each page with the kind and its steps; it may edit files, start
another ingest, or raise `Killed` to stop the thread as a dead process would, holding what it held.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.documents import proof, search
from leasehold.documents.kinds import WORKFLOW
from leasehold.documents.recipes import Parameters
from leasehold.kernel import groups, holders, steps
from leasehold.kernel.steps import LaneRequest
from leasehold.options import ChunkOptions, SourceOptions
from leasehold.types import StepLease
from leasehold.worker import ingest as ingests
from leasehold.worker.documents import build
from leasehold.worker.ingest import Ingest, IngestConfig, Report
from leasehold.worker.pages import Page

ingests.LOOK_EVERY_S = 0.005
ingests.TURN_EVERY_S = 0.005

Between = Callable[[str, Sequence[StepLease]], None]


class Killed(BaseException):
    """Raised in `between`: the worker is gone, and says nothing to anybody."""


class Hand:
    """Stands for a keeper: one thread that claims and works pages."""

    def __init__(
        self, target: Target, between: Between | None, page_max: int | None = None, options: Any = None
    ) -> None:
        self._target, self._between, self._page_max = target, between, page_max
        self._kinds = {kind.name: kind for kind in build(target, options or {})}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.error: BaseException | None = None
        self.holder_id = 0
        self._thread.start()

    alive = True
    drained = False

    def pids(self) -> list[int]:
        return [0]

    def stop(self, timeout_s: float = 10.0) -> None:
        self._stop.set()
        self._thread.join(timeout_s)

    stop_now = stop

    def _work(self) -> None:
        with Session(self._target, application_name="by hand") as session:
            self.holder_id = holders.join(session, kind="worker", name="hand", ttl_s=30.0)
            number = 0
            try:
                while not self._stop.is_set():
                    lanes = steps.lanes(session, WORKFLOW)
                    if not lanes:
                        steps.promote(session)
                        self._stop.wait(0.003)
                    for lane in lanes:
                        number += 1
                        kind = self._kinds[lane.kind]
                        request = LaneRequest(lane.lane_id, self._page_max or kind.page_max, 0, 3600.0)
                        for lease in steps.claim(session, self.holder_id, number, [request]).leases:
                            leased = [StepLease(s, lease.token, a, None, lane.group_id) for s, a in lease.steps]
                            if self._between is not None:
                                self._between(lane.kind, leased)
                            page = Page(kind, leased, session, board=None, slot=0, told=lambda *_: None,
                                        stopping=self._stop.is_set, taken_away=lambda token: False)  # fmt: skip
                            rest = page.work()
                            steps.release(session, [(one.token, one.step_id) for one, how in rest if how is None])
                holders.leave(session, self.holder_id)
            except Killed:
                self.error = None
            except BaseException as error:
                self.error = error
                self.alive = False


class HandIngest(Ingest):
    """An ingest whose keeper is a `Hand`."""

    def __init__(self, config: IngestConfig, between: Between | None = None, page_max: int | None = None) -> None:
        super().__init__(config)
        self._between, self._page_max = between, page_max

    def _start_keeper(self) -> None:
        if self.keeper is None:
            self.keeper = Hand(  # type: ignore[assignment]
                self.config.target, self._between, self._page_max, self.config.kind_options
            )


@dataclass
class Library:
    """A collection at a database, and the folder that most tests have."""

    url: str
    folder: Path
    parameters: Parameters = field(default_factory=lambda: Parameters(chunk=ChunkOptions()))
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(Target(url=self.url))

    def config(
        self, *paths: Path, collection: str = "default", chunk_size: int | None = None, **options: Any
    ) -> IngestConfig:
        parameters = self.parameters if chunk_size is None else Parameters(chunk=ChunkOptions(size=chunk_size))
        own = {name: options.pop(name) for name in list(options) if name in IngestConfig.__dataclass_fields__}
        return IngestConfig(
            target=Target(url=self.url),
            paths=paths or (self.folder,),
            collection=collection,
            parameters=parameters,
            options=SourceOptions(**options),
            **own,
        )

    def ingest(
        self, *paths: Path, between: Between | None = None, page_max: int | None = None, **options: Any
    ) -> Report:
        """One ingest to its end; the proof must hold afterwards unless the report says that it is not complete."""
        made = HandIngest(self.config(*paths, **options), between, page_max)
        report = made.run()
        error = getattr(made.keeper, "error", None)
        if error is not None:
            raise error
        if report.outcome in ("complete", "failed"):
            self.prove()
        return report

    def prove(self) -> proof.Proof:
        found = proof.prove(self.session)
        assert not found.defects, found.defects[:5]
        for source in found.sources:
            assert source.seen == source.accounted, source
            assert source.holds, source
        return found

    def digest(self, collection: str = "default") -> str:
        return proof.digest(self.session, collection)

    def search(self, question: str, **options: Any) -> list[search.Answer]:
        return search.search(self.session, question, **{"collection": "default", **options})

    def paths(self, question: str) -> set[str]:
        return {answer.path for answer in self.search(question, limit=100)}

    def rows(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.session.fetch(statement, params or None)

    def one(self, statement: str, *params: Any) -> Any:
        return self.rows(statement, *params)[0][0]

    def states(self) -> dict[str, tuple[str, str | None]]:
        """path -> (state, reason) of every item, and the oddities beside them."""
        rows = self.rows("select path, state, reason from leasehold.item_state")
        found = {path: (state, reason) for path, state, reason in rows}
        for path, verdict, reason in self.rows("select path, verdict, reason from leasehold.oddity"):
            assert path not in found, path
            found[path] = (verdict, reason)
        return found

    def tables(self) -> dict[str, list[Any]]:
        """Every row of every table of ours, for tests that nothing was written."""
        ours = "select relname from pg_class where relnamespace = 'leasehold'::regnamespace and relkind = 'r'"
        return {name: sorted(self.rows(f"select t::text from leasehold.{name} t")) for (name,) in self.rows(ours)}

    def retry(self) -> int:
        """What `retry --failed` does."""
        return sum(groups.retry(self.session, row[0]) for row in self.rows("select group_id from leasehold.run_group"))

    def write(self, name: str, text: str | bytes) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file
