"""The lab: set up, hurt, settle, count, clean up.

A run is over when everything that was submitted has ended; while the attacks go on more is submitted, as long as there
is time. Then the books are opened: nothing the workers said is asked, only what stands in the database.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from leasehold.chaos import workload
from leasehold.chaos.attacks import Attacks
from leasehold.chaos.drill import NAME
from leasehold.chaos.drilling import Drilling
from leasehold.chaos.hosts import Host, command_host, worker_host
from leasehold.chaos.options import ChaosOptions
from leasehold.chaos.server import Server
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.documents import proof as proving
from leasehold.documents import reports
from leasehold.errors import LeaseholdError
from leasehold.kernel import checks, groups, hooks, seats
from leasehold.testing.proxy import Proxy
from leasehold.workflows.finding import Places

PACKAGE = "leasehold.chaos"
TICK_S = 0.05
SAY_EVERY_S = 2.0
OPEN_GROUPS = 4
SHOWN = 20
LAST_WORDS_S = 1.0
BEGIN_S = 30.0
COLLECTION = "default"
BLAMED = "holder died"


@dataclass(slots=True)
class Check:
    """One thing that had to hold. `found` says what broke it."""

    name: str
    held: bool
    detail: str
    found: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """How a run of the lab ended. `interrupted`: nothing was judged."""

    seed: int
    server: str = ""
    elapsed_s: float = 0.0
    runs: int = 0
    effects: int = 0
    deaths: int = 0
    """Workers that were buried or reaped, as the database has it."""
    blamed: int = 0
    """Files that failed because whoever read them died three times; they were tried again in calm."""
    attacks: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    digest: str = ""
    undisturbed: str = ""
    interrupted: bool = False

    @property
    def held(self) -> bool:
        return bool(self.checks) and all(check.held for check in self.checks)

    @property
    def broken(self) -> list[str]:
        """The names of what did not hold."""
        return [check.name for check in self.checks if not check.held]


class Lab:
    """One run. `interrupt` may be called on any thread; what the lab has made is gone when `run` returns.

    Args:
        say: told each attack and, now and then, how far the work is.
        prepare: called with a session on the lab's new database before anything is submitted.
    """

    def __init__(
        self,
        options: ChaosOptions,
        say: Callable[[str], None] | None = None,
        prepare: Callable[[Session], object] | None = None,
    ) -> None:
        self.options = options
        self.report = Report(options.seed)
        self._say = say or (lambda text: None)
        self._prepare = prepare or (lambda session: None)
        self._interrupted = threading.Event()
        self._hosts: list[Host] = []
        self._submitted: list[tuple[str, int, int]] = []
        self._said_at_s = 0.0
        self._drilling: Drilling | None = None
        self._in_peace: Counter[str] = Counter()

    def interrupt(self) -> None:
        """Stop as soon as possible, and clean up."""
        self._interrupted.set()

    def run(self) -> Report:
        began = time.monotonic()
        options = self.options
        if options.workflow is not None:
            places = Places(folder=options.workflows, modules=options.modules)
            self._drilling = Drilling(options.workflow, places, options.items, options.runs)
        server = Server(self.options.database)
        try:
            self._server = server
            self.report.server = f"PostgreSQL {server.version}, " + ("its own" if server.own else "a given one")
            self._run()
        finally:
            for host in self._hosts:
                host.end_now()
            server.close()
            self.report.elapsed_s = time.monotonic() - began
        return self.report

    def _run(self) -> None:
        url = self._server.database()
        with Session(Target(url=url), application_name="leasehold chaos", patience_s=60.0) as session:
            self._session = session
            workload.prepare(session)
            self._prepare(session)
            if self._drilling is not None:
                self._drilling.prepare(session)
                self._drill_in_peace(self._drilling)
            if self.options.corpus is not None:
                self._undisturbed()
            self._attack(url)
            self.report.interrupted = self._interrupted.is_set()
            if not self.report.interrupted:
                self._judge()

    # -- the noise ----------------------------------------------------------------------------------------------------

    def _attack(self, url: str) -> None:
        proxy = Proxy(url) if self.options.through_proxy else None
        try:
            if proxy is not None:
                proxy.latency_s = self.options.slow_db_s
                proxy.drop_notifies = self.options.drop_notifies
            self._start_hosts(proxy.url if proxy is not None else url)
            attacks = Attacks(self.options, self._hosts, self._server, proxy, self._say, self._session)
            self._noise(attacks)
            attacks.end()
            self._settle()
            for host in self._hosts:
                host.end()
            self.report.attacks = dict(attacks.done)
            if proxy is not None and proxy.lost_notifies:
                self.report.attacks["notifications dropped"] = proxy.lost_notifies
        finally:
            for host in self._hosts:
                host.end_now()
            if proxy is not None:
                proxy.close()

    def _start_hosts(self, url: str) -> None:
        options, folder = self.options, self._server.folder
        if options.corpus is not None:
            arguments = ["ingest", str(options.corpus), "--json", "--processes", "1"]
            self._hosts.append(command_host("ingest", arguments, url, options.ttl_s, options.faults, folder / "ingest"))
        for number in range(len(self._hosts), options.workers):
            name = f"host {number + 1}"
            log = folder / f"host{number + 1}"
            if options.corpus is None and self._drilling is None:
                host = worker_host(name, url, options.ttl_s, options.faults, log)
            else:
                known = self._drilling.arguments if self._drilling is not None else []
                arguments = ["worker", "--processes", "1", *known]
                host = command_host(name, arguments, url, options.ttl_s, options.faults, log)
            self._hosts.append(host)
        for host in self._hosts:
            host.start()

    def _noise(self, attacks: Attacks) -> None:
        self._begin()
        attacks.start()
        until_s = time.monotonic() + self.options.for_s
        while time.monotonic() < until_s and not self._interrupted.wait(TICK_S):
            attacks.tick()
            self._restart_hosts()
            if self._finished(submitting=True):
                return

    def _begin(self) -> None:
        """Until there is something to hurt."""
        until_s = time.monotonic() + BEGIN_S
        while time.monotonic() < until_s and not self._interrupted.wait(TICK_S):
            self._restart_hosts()
            self._finished(submitting=True)
            ended, _, leased, _ = self._look()
            if ended or leased:
                return

    def _settle(self) -> None:
        """Work off what is left; at least for a moment, so that whoever was stopped can say what it has to say.

        A workflow's items are all submitted, however few the noise has left time for, and may take their time.
        """
        self._say("the noise is over; what is left is worked off")
        began = moved = time.monotonic()
        seen: tuple[int, ...] = ()
        while time.monotonic() < moved + self.options.settle_s and not self._interrupted.wait(TICK_S):
            self._restart_hosts()
            if self._finished(submitting=self._drilling is not None) and time.monotonic() > began + LAST_WORDS_S:
                if not self._tried_again():
                    return
                moved = time.monotonic()
            if self._drilling is not None and (now := self._look()) != seen:
                seen, moved = now, time.monotonic()

    def _tried_again(self) -> bool:
        """Whether files are read once more that are blamed for deaths. The lab's own kills look like those of a file
        that kills its reader, when they meet one file three times alone; `leasehold retry --reason` is for that."""
        if self.options.corpus is None or self.report.blamed:
            return False
        session = self._session
        for group_id, runs in reports.failed_runs(session).items():
            self.report.blamed += groups.retry(session, group_id, reasons=[BLAMED], runs=runs)
        if self.report.blamed:
            self._say(f"{self.report.blamed} failed because whoever read them died, and are tried again")
            self._hosts[0].start()
        return self.report.blamed > 0

    def _restart_hosts(self) -> None:
        for host in self._hosts:
            if not host.alive and not host.stopped and not self._job_done(host):
                if host.code != -signal.SIGKILL:
                    self._say(f"{host.name} ended with {host.code} and is started again: {host.last_words}")
                host.start()

    def _job_done(self, host: Host) -> bool:
        """An ingest that has said how it ended; one that was killed or lost its database is run again."""
        return self.options.corpus is not None and host is self._hosts[0] and host.code in (0, 1) and bool(
            _outcome(host) in ("complete", "failed"))  # fmt: skip

    def _finished(self, *, submitting: bool) -> bool:
        now = time.monotonic()
        if self.options.corpus is not None:
            self._tell(now)
            return self._job_done(self._hosts[0])
        ended, added, _, open_groups = self._look()
        self._tell(now)
        if submitting and open_groups < OPEN_GROUPS and self._more():
            return False
        wanted = self._wanted
        if self._drilling is not None and self._drilling.hooks_under_way(self._session):
            return False
        all_submitted = not submitting or (wanted is not None and self.report.runs >= wanted)
        return bool(all_submitted and open_groups == 0 and ended == added)

    def _more(self) -> bool:
        """Submit a group, if there is one to submit."""
        first, wanted = self.report.runs, self._wanted
        count = self.options.group_runs if wanted is None else min(self.options.group_runs, wanted - first)
        if count <= 0:
            return False
        number = len(self._submitted)
        name = workload.workflow_of(number)
        if self._drilling is not None:
            self._drilling.submit(self._session, number, first, count)
        else:
            workload.submit(self._session, f"chaos {self.options.seed} {number}", name, first, count)
        self._submitted.append((name, first, count))
        self.report.runs += count
        return True

    @property
    def _wanted(self) -> int | None:
        """How many runs there are to work; None: as many as fit into the time."""
        return len(self._drilling.items) if self._drilling is not None else self.options.runs

    def _look(self) -> tuple[int, int, int, int]:
        row = self._session.fetch(load(PACKAGE, "progress"))[0]
        return int(row[0]), int(row[1]), int(row[2]), int(row[3])

    def _tell(self, now: float) -> None:
        if now - self._said_at_s >= SAY_EVERY_S:
            self._said_at_s = now
            ended, added, leased, _ = self._look()
            self._say(f"{ended:,} of {added:,} runs ended, {leased:,} steps leased")

    # -- the books ----------------------------------------------------------------------------------------------------

    def _undisturbed(self) -> None:
        """The same folder, ingested in peace, on a database of its own."""
        url = self._server.database()
        log = self._server.folder / "undisturbed"
        arguments = ["ingest", str(self.options.corpus), "--json"]
        host = command_host("undisturbed", arguments, url, 30.0, "", log)
        self._hosts.append(host)
        host.start()
        self._say("first, in peace: what the folder comes to")
        while host.alive and not self._interrupted.wait(TICK_S):
            pass
        self._hosts.remove(host)
        host.end_now()
        if self._interrupted.is_set():
            return
        if _outcome(host) not in ("complete", "failed"):
            end = (log.read_text("utf-8", "replace").strip() or host.output.strip()).splitlines()[-1:]
            raise LeaseholdError(f"The folder cannot be ingested even undisturbed: {' '.join(end)}",
                                 remedy="Run `leasehold ingest` on it first.")  # fmt: skip
        with Session(Target(url=url), application_name="leasehold chaos") as session:
            self.report.undisturbed = proving.digest(session, COLLECTION)

    def _drill_in_peace(self, drilling: Drilling) -> None:
        """The same items, worked in peace, on a database of their own."""
        url = self._server.database()
        log = self._server.folder / "undisturbed"
        arguments = ["worker", "--processes", "1", *drilling.arguments]
        host = command_host("undisturbed", arguments, url, 30.0, "", log)
        self._hosts.append(host)
        with Session(Target(url=url), application_name="leasehold chaos") as session:
            drilling.prepare(session)
            each = self.options.group_runs
            submitted = [drilling.submit(session, number, first, each)
                         for number, first in enumerate(range(0, len(drilling.items), each))]  # fmt: skip
            host.start()
            self._say("first, in peace: what the workflow comes to")
            while not self._interrupted.wait(TICK_S):
                for group_id in submitted:
                    groups.fold(session, group_id)
                if not groups.open_ids(session) and not drilling.hooks_under_way(session):
                    break
                if not host.alive:
                    raise LeaseholdError(f"The workflow cannot be worked even undisturbed: {host.last_words}",
                                         remedy="Let `leasehold worker` work it first.")  # fmt: skip
            self._in_peace = drilling.state(session)
        self._hosts.remove(host)
        host.end_now()

    def _judge(self) -> None:
        report, session = self.report, self._session
        for group_id in groups.open_ids(session):
            groups.fold(session, group_id)
        ended, added, leased, open_groups = self._look()
        report.runs = added
        report.refused = checks.refusals(session)
        report.deaths = int(session.fetch(load(PACKAGE, "deaths"))[0][0])
        self._check("everything has ended", ended == added and leased == 0 and open_groups == 0,
                    f"{ended:,} of {added:,} runs, {open_groups} groups open, {leased} steps leased")  # fmt: skip
        taken = [f"{one.key} by {one.name}" for one in seats.taken(session) if one.steps or one.expired]
        self._check("every lock has been given back", not taken, "no seat is held for a step", taken)
        broken = [f"{rule}: {found}" for rule, found in checks.violations(session)]
        self._check("the invariants", not broken, "of the kernel, as SQL over every row", broken)
        if self._drilling is not None:
            self._judge_drilling(self._drilling)
        elif self.options.corpus is None:
            self._judge_effects()
        else:
            self._judge_corpus()

    def _judge_effects(self) -> None:
        report, session = self.report, self._session
        unbalanced = session.fetch(load(PACKAGE, "effects_unbalanced"))
        rows = [(int(n), int(ix), str(value)) for n, ix, value in session.fetch(load(PACKAGE, "effects"))]
        report.effects = len(rows)
        found = [f"step {step} token {token}: {n} effects, {ends} successes" for step, token, n, ends in unbalanced]
        self._check("exactly one effect for each success", not unbalanced, f"{len(rows):,} effects", found)
        planned = list(workload.planned(self._submitted))
        report.digest, report.undisturbed = workload.digest(iter(rows)), workload.digest(iter(planned))
        differing = Counter(rows)
        differing.subtract(planned)
        found = [
            f"run {n} place {ix} value {value}: {'missing' if count < 0 else 'too many'}"
            for (n, ix, value), count in sorted(differing.items()) if count
        ]  # fmt: skip
        self._check("the result of an undisturbed run", rows == planned, f"digest {report.digest[:16]}", found)
        numbers = ((n, name) for name, first, count in self._submitted for n in range(first, first + count))
        failed = sum(workload.fails(n, name) for n, name in numbers)
        ends = {name: int(n) for name, n in session.fetch(load(PACKAGE, "run_ends"))}
        meant = {name: n for name, n in (("succeeded", report.runs - failed), ("failed", failed)) if n}
        self._check("only what was meant to fail has failed", ends == meant, f"{failed:,} of {report.runs:,} runs",
                    [] if ends == meant else [f"it ended {ends}, meant was {meant}"])  # fmt: skip

    def _judge_drilling(self, drilling: Drilling) -> None:
        report, session = self.report, self._session
        early = drilling.results_without_success(session)
        self._check("what a step gave stands with its success", not early, "no result without one", early)
        calls = hooks.counts(session)
        report.effects, unbalanced = drilling.effects(session)
        if drilling.workflow.id == NAME:
            self._check("one effect of a hook for each key", not unbalanced, f"{report.effects:,} effects", unbalanced)
        state = drilling.state(session)
        report.digest, report.undisturbed = (
            workload.digest_of(sorted(found.elements())) for found in (state, self._in_peace)
        )
        made = sum(sum(states.values()) for states in calls.values())
        differing = [f"missing: {line}" for line in (self._in_peace - state).elements()]
        differing += [f"too many: {line}" for line in (state - self._in_peace).elements()]
        told = f"{report.runs:,} runs and {made:,} calls of hooks, digest {report.digest[:16]}"
        self._check("the final state of an undisturbed run", state == self._in_peace, told, differing)

    def _judge_corpus(self) -> None:
        report, session = self.report, self._session
        found = proving.prove(session)
        self._check("the proof", found.holds, f"{found.documents:,} documents, {found.chunks:,} chunks",
                    [f"{rule}: {path or ''} {what}" for rule, path, what in found.defects])  # fmt: skip
        report.digest = proving.digest(session, COLLECTION)
        same = report.digest == report.undisturbed
        failed = [f"{one.path}: {one.reason}" for one in reports.troubles(session, states=["failed"], limit=SHOWN)]
        self._check("the result of an undisturbed run", same, f"digest {report.digest[:16]}",
                    [] if same else [f"undisturbed it is {report.undisturbed[:16]}", *failed])  # fmt: skip

    def _check(self, name: str, held: bool, detail: str, found: list[str] | None = None) -> None:
        self.report.checks.append(Check(name, held, detail, (found or [])[:SHOWN]))


def _outcome(host: Host) -> str | None:
    """What a command said of itself with --json."""
    try:
        body: dict[str, Any] = json.loads(host.output)
    except ValueError:
        return None
    return body.get("outcome")
