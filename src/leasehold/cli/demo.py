"""`leasehold demo`: the whole promise on real files, in under a minute, with nothing hidden.

Plans, ingests with four worker processes, kills one of them with SIGKILL on the way, proves the count, does nothing the
second time, follows an edit, a deletion and a rename on a working copy, and answers three questions. It exits 0 only if
every one of these held; what it prints is measured, never assumed.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, say, shown

PROCESSES = 4
KILL_AT = 0.4
COLLECTION, COPY = "demo", "demo-copy"
"""Collections of its own: each showing forgets the one before, and touches nothing else."""
COPY_FILES = 120
QUESTIONS = (
    "how is an ISO date string parsed",
    "escape HTML characters",
    "send an email over SMTP",
)


@click.command()
@click.option("--corpus", type=common.PathThere(), metavar="DIR", help="Your own folder [Python's library].")
@common.common
def demo(corpus: Path | None, database: str | None, home: str | None, as_json: bool) -> int:
    """Watch it all happen on real files: several workers, one of them killed, the proof, the second run, your edits."""
    chosen = common.settings(database, home)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # beside the progress on standard error, in order
    show = Demo(chosen, corpus)
    try:
        show.run()
    finally:
        show.close()
    if as_json:
        common.emit("complete" if show.ok else "failed", checks=show.checks)
    return 0 if show.ok else 1


class Demo:
    """One showing; `checks` says what held."""

    def __init__(self, chosen: Any, corpus: Path | None) -> None:
        source = replace(chosen.source, exclude=(*chosen.source.exclude, "site-packages/"))
        self.chosen = replace(chosen, source=source, ingest=replace(chosen.ingest, collection=COLLECTION))
        self.own_corpus = corpus is not None
        self.corpus = corpus if corpus is not None else Path(sysconfig.get_paths()["stdlib"])
        self.checks: dict[str, bool] = {}
        self.session: Any = None
        self.copy = Path(tempfile.mkdtemp(prefix="leasehold-demo-")) / "copy"
        self.killed: dict[str, Any] = {}

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(self.checks.values())

    def close(self) -> None:
        shutil.rmtree(self.copy.parent, ignore_errors=True)
        if self.session is not None:
            self.session.close()

    def check(self, name: str, held: bool, line: str) -> None:
        self.checks[name] = held
        say(f"{'✓' if held else '✗ FAILED:'} {line}")

    def run(self) -> None:
        from leasehold.cli.ingest import check_paths
        from leasehold.documents import collections
        from leasehold.errors import NotFound

        check_paths([self.corpus])
        if not self.corpus.is_dir():
            raise common.UsageError(f"The demo needs a folder, and {self.corpus} is a file.")
        began = time.monotonic()
        self.session = common.open_session(self.chosen, write=True)
        for name in (COPY, COLLECTION):
            with contextlib.suppress(NotFound):
                collections.drop(self.session, name, beside_work=True)
        state = self.session.fetch("show server_version")[0][0]
        say(f"PostgreSQL {state}, {self.chosen.target.described()}, in {time.monotonic() - began:.1f} s")
        self.plan()
        self.first()
        self.prove()
        self.second()
        self.edits()
        self.questions()
        self.last_words(time.monotonic() - began)

    # -- the acts -----------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        from leasehold.cli.plan import plan_all

        planned = plan_all(self.chosen, [self.corpus])[0][0][0]
        decided = planned.plan
        say(f"plan: {shown(str(self.corpus))}: {len(planned.to_run):,} files to read, {len(decided.oddities):,} not")

    def first(self) -> None:
        report, _ = self.ingest([self.corpus], COLLECTION, kill=True)
        stored = report.count("stored")
        rate = f", {stored / report.elapsed_s:,.0f} documents/s" if report.runs and report.elapsed_s else ""
        self.check(
            "ingested",
            report.outcome in ("complete", "failed") and not report.count("pending"),
            f"ingested: {stored:,} stored, {report.count('skipped'):,} skipped with a reason, "
            f"{report.count('failed'):,} failed, in {report.elapsed_s:.1f} s{rate}",
        )
        if not self.killed:
            say("- no worker was killed: the work was over before 40 % of it could be seen; take a larger folder")
            return
        taken = self.killed.get("taken_over_s")
        self.check(
            "taken over",
            taken is not None,
            f"worker {self.killed['pid']} was killed with SIGKILL on purpose; its {self.killed['steps']} steps "
            + (f"were at work elsewhere {taken * 1000:.0f} ms later" if taken is not None else "were not taken over"),
        )

    def prove(self) -> None:
        from leasehold.cli.proof import lines
        from leasehold.documents.proof import prove

        found = prove(self.session, COLLECTION)
        account = [line.strip() for line in lines(found, {}) if "seen" in line][-1]
        self.check("proof", found.holds, f"proof: {account}; {counted(found.chunks, 'chunk')} counted in the store")
        for rule, path, what in found.defects[:5]:
            say(f"    {rule}: {path or ''} {what}")

    def second(self) -> None:
        report, _ = self.ingest([self.corpus], COLLECTION)
        self.check(
            "second run",
            not report.computed,
            f"again: {report.unchanged:,} unchanged, nothing computed, in {report.elapsed_s:.2f} s",
        )

    def edits(self) -> None:
        files = self.make_copy()
        report, _ = self.ingest([self.copy], COPY)
        reused = not report.computed.get("embed")
        self.check("reused", reused, f"a working copy of {counted(len(files), 'file')} into '{COPY}': "
                   f"{report.computed.get('embed', 0)} embedded, the content was known")  # fmt: skip
        edited, deleted, renamed = files[0], files[1], files[2]
        with edited.open("a", encoding="utf-8") as out:
            out.write(f"\n# An edit made by the demo at {time.time_ns()}.\n")
        deleted.unlink()
        renamed.rename(renamed.with_name("renamed_" + renamed.name))
        report, _ = self.ingest([self.copy], COPY)
        held = (report.computed.get("embed") == 1 and report.deleted == 1 and report.renamed == 1
                and report.changed == 1 and report.new == 0)  # fmt: skip
        embedded = report.computed.get("embed", 0)
        self.check("edits", held, f"edited one, deleted one, renamed one: {embedded} embedded again, "
                   f"{report.deleted} removed, {report.renamed} moved, in {report.elapsed_s:.1f} s")  # fmt: skip

    def questions(self) -> None:
        from leasehold.documents.search import search

        for question in QUESTIONS:
            answers = search(self.session, question, collection=COLLECTION, limit=1)
            if not self.own_corpus:
                self.checks[f"answer: {question}"] = bool(answers)
            for one in answers:
                say(f"? {question}")
                say(f"    {shown(one.file)}:{one.line}  {one.heading}"[:118])

    def last_words(self, took_s: float) -> None:
        say(f"{'all of it held' if self.ok else 'NOT ALL OF IT HELD'}, in {took_s:.0f} s. Now your own files:")
        run = shown(sys.argv[0]) if sys.argv[0].endswith("leasehold") else "leasehold"
        say(f"    {run} ingest ~/notes")
        say(f'    {run} search "what did I decide about the roof"')
        if self.chosen.target.embedded and self.chosen.origins.get("home"):
            say(f'    LEASEHOLD_HOME={shown(str(self.chosen.home))} {run} search "how are emails sent" --in demo')

    # -- helpers ------------------------------------------------------------------------------------------------------

    def ingest(self, paths: list[Path], collection: str, *, kill: bool = False) -> tuple[Any, list[Any]]:
        from leasehold.cli.display import Display
        from leasehold.cli.ingest import config_of
        from leasehold.worker.ingest import Ingest

        ingest = replace(self.chosen.ingest, collection=collection, processes=PROCESSES, workers=PROCESSES * 2)
        chosen = replace(self.chosen, ingest=ingest)
        happenings: list[Any] = []

        def happened(happening: Any) -> None:
            happenings.append(happening)
            if kill and happening.what == "died" and happening.pid == self.killed.get("pid"):
                self.killed |= {"steps": len(happening.steps), "given_back": happening.steps}
                self.watch_takeover()
            display.happened(happening)

        def progress(now: Any) -> None:
            display.progress(now)
            if kill and not self.killed and now.added and now.ended >= KILL_AT * now.added:
                self.kill_one(display)

        with Display(quiet=not kill) as display:
            job = Ingest(
                config_of(chosen, paths, self.chosen.source, None), on_progress=progress, on_happening=happened
            )
            return job.run(), happenings

    def kill_one(self, display: Any) -> None:
        from leasehold.kernel import holders

        busiest = holders.busiest(self.session)
        if busiest is not None:
            self.killed = {"pid": busiest[0], "steps": busiest[1], "at": time.monotonic()}
            display.line(f"40 % done: kill -9 {busiest[0]}, which holds {counted(busiest[1], 'step')}")
            os.kill(busiest[0], signal.SIGKILL)

    def watch_takeover(self) -> None:
        """Measure how long after the kill the last of the dead worker's steps was at work elsewhere."""
        import threading

        threading.Thread(target=self._watch_takeover, daemon=True).start()

    def _watch_takeover(self) -> None:
        from leasehold.db.session import Session
        from leasehold.kernel import holders

        with Session(self.chosen.target, application_name="leasehold demo") as session:
            while time.monotonic() - self.killed["at"] < 30:
                if holders.not_taken_over(session, self.killed["given_back"]) == 0:
                    self.killed["taken_over_s"] = time.monotonic() - self.killed["at"]
                    return
                time.sleep(0.01)

    def make_copy(self) -> list[Path]:
        """Some of the corpus's text files, copied with fresh times; at least three."""
        from leasehold.documents.reports import stored_paths

        wanted = stored_paths(self.session, COLLECTION, limit=COPY_FILES)
        files = []
        for path in wanted:
            source = self.corpus / path if self.corpus.is_dir() else self.corpus
            target = self.copy / path
            if source.is_file() and source.suffix in (".py", ".md", ".txt", ".rst"):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                files.append(target)
        if len(files) < 3:
            raise common.UsageError(f"The demo needs at least three text files in {self.corpus}.")
        return files
