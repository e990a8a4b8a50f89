"""How each scenario is run. Every measurement has a new database, made from its contender's template.

Rounds are interleaved: all contenders once, then all again, so that a busy minute hits nobody alone. What is filled in
takes no part in a time; after filling, the database is vacuumed and checkpointed. A time runs from the first item's
start until the database says that nothing waits or runs; of a window, until its end.

Not here: sizes and names (plan), what is done with the figures (table).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import history
import upkeep
from peers import Peers
from plan import BY_NAME, CONTENDERS_DIR, Contender, Sizes
from processes import Account, Crew, Script, Wrong
from server import BenchServer, others_share

DATABASE = "measured"


@dataclass
class Figures:
    """What was measured: (row, contender) → one value a round."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    notes: dict[tuple[str, str], str] = field(default_factory=dict)
    """What a cell must be read with: another size than its row."""
    others: list[float] = field(default_factory=list)
    """The share of the processors that others used, before each scenario."""
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, row: str, contender: Contender, value: float, note: str = "") -> None:
        self.values.setdefault((row, contender.name), []).append(value)
        if note:
            self.notes[row, contender.name] = note


class Bench:
    def __init__(self, server: BenchServer, peers: Peers, sizes: Sizes, contenders: Sequence[Contender]) -> None:
        self.server, self.peers, self.sizes = server, peers, sizes
        self.contenders = contenders
        self.main = [one for one in contenders if not one.extra]
        self.figures = Figures()
        self._eye = server.connect()

    # -- the scenarios ------------------------------------------------------------------------------------------------

    def run(self, names: Sequence[str]) -> Figures:
        for contender in self.contenders:
            self.template(contender)
        for name in names:
            started = time.monotonic()
            share = others_share()
            if share is not None:
                self.figures.others.append(share)
            getattr(self, name)()
            self.figures.seconds[name] = time.monotonic() - started
        return self.figures

    def drain1(self) -> None:
        self.drains("drain1", 1)

    def drain2(self) -> None:
        self.drains("drain2", 2)

    def drains(self, row: str, processes: int) -> None:
        for contender in self.rounds(self.sizes.rounds, self.contenders):
            items = self.sizes.drain_slow if contender.slow else self.sizes.drain
            script = self.fresh(contender)
            added_s = self.fill(script, "noop", items)
            if not contender.extra and not contender.slow:
                self.figures.add("enqueue", contender, items / added_s)
            account = self.drained(contender, script, items, processes)
            self.figures.add(row, contender, account.rate, f"{items:,} items" if contender.slow else "")
            self.say(row, contender, f"{account.rate:,.0f}/s, added {items / added_s:,.0f}/s, workers' processor time "
                                     f"{account.cpu_s:.1f} s, {account.rss_mb:.0f} MB")  # fmt: skip

    def start(self) -> None:
        for contender in self.rounds(max(1, self.sizes.rounds - 1), self.main):
            script = self.fresh(contender)
            with Crew(script, 1, "lat", min(20, contender.consumers), self.sizes.sends) as crew:
                crew.go()
                time.sleep(1.5)  # until it is idle
                script.run("send", self.sizes.sends)
                account = crew.drain(self.left(contender))
            waits = sorted(account.waits_ms)
            p50, p99 = statistics.median(waits), waits[int(len(waits) * 0.99)]
            self.figures.add("start_p50", contender, p50)
            self.figures.add("start_p99", contender, p99)
            self.say("start", contender, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms")

    def waiting(self) -> None:
        """Both on copies of one database that is full: without and with a snapshot held open since before."""
        items, window_s = self.sizes.waiting, self.sizes.window_s
        for contender in self.rounds(self.sizes.long_rounds, self.main):
            full = f"full_{contender.family}"
            script = self.fresh(contender, full)
            added_s = self.fill(script, "noop", items, full)
            if contender.slow:
                self.figures.add("enqueue", contender, items / added_s, f"{items:,} items")
            for row in ("waiting", "snapshot"):
                self.server.create(DATABASE, full, large=True)
                script = self.script(contender, DATABASE)
                with self.old_snapshot(row == "snapshot"), Crew(script, 1, "noop", contender.consumers, items) as crew:
                    crew.go()
                    account = crew.drain(self.left(contender), window_s=window_s)
                self.figures.add(row, contender, account.rate)
                self.say(row, contender, f"{account.rate:,.0f}/s, {account.items:,} items")
            self.server.drop(full)

    def finished(self) -> None:
        for contender in self.rounds(1, [one for one in self.main if one.query("finished")]):
            large = contender.family in ("ideal", "leasehold")
            rows = self.sizes.finished if large else self.sizes.finished_peers
            script = self.fresh(contender)
            started = time.monotonic()
            history.fill(self.server.url(DATABASE), contender.query("finished") or "", rows)
            filled_s = time.monotonic() - started
            items = self.sizes.drain_slow if contender.slow else self.sizes.drain
            for _ in range(max(1, self.sizes.rounds - 1)):
                self.fill(script, "noop", items)
                account = self.drained(contender, script, items, 1, kept=rows)
                rows += items
                self.figures.add("finished", contender, account.rate,
                                 "" if large else f"{self.sizes.finished_peers:,} rows")  # fmt: skip
                self.say("finished", contender, f"{account.rate:,.0f}/s, {rows - items:,} rows kept "
                                                f"(filled in {filled_s:.0f} s)")  # fmt: skip

    def groups(self) -> None:
        contender = BY_NAME["leasehold"]
        for _ in self.rounds(self.sizes.rounds, [one for one in self.main if one is contender]):
            self.fresh(contender)
            script = self.script(contender, DATABASE, form="1000")
            self.fill(script, "noop", self.sizes.drain)
            account = self.drained(contender, script, self.sizes.drain, 1)
            self.figures.add("groups", contender, account.rate)
            self.say("groups", contender, f"{account.rate:,.0f}/s")

    def sleep20(self) -> None:
        self.sleeps("sleep20", 20, self.sizes.long_rounds)

    def sleep200(self) -> None:
        self.sleeps("sleep200", 200, self.sizes.rounds)

    def sleeps(self, row: str, consumers: int, rounds: int) -> None:
        for contender in self.rounds(rounds, self.main):
            script = self.fresh(contender)
            self.fill(script, "nap", self.sizes.naps)
            with Crew(script, 1, "nap", consumers, self.sizes.naps) as crew:
                crew.go()
                account = crew.drain(self.left(contender))
            self.kept(contender, self.sizes.naps)
            self.figures.add(row, contender, account.seconds)
            self.say(row, contender, f"{account.seconds:.2f} s")

    def upkeep(self) -> None:
        for contender in self.rounds(self.sizes.rounds, self.main):
            measure: Callable[[str, int], tuple[float, float]] | None = getattr(upkeep, contender.name, None)
            if measure is None:
                continue
            self.fill(self.fresh(contender), "noop", 2 * self.sizes.held)
            beat_ms, reap_ms = measure(self.server.url(DATABASE), self.sizes.held)
            self.figures.add("heartbeat", contender, beat_ms)
            self.figures.add("reap", contender, reap_ms)
            self.say("upkeep", contender, f"heartbeat {beat_ms:.1f} ms, back {reap_ms:.0f} ms")

    # -- their parts --------------------------------------------------------------------------------------------------

    def rounds(self, rounds: int, contenders: Sequence[Contender]) -> Iterator[Contender]:
        for _ in range(rounds):
            yield from contenders

    def template(self, contender: Contender) -> None:
        name = f"template_{contender.family}"
        with self.server.connect() as connection:
            if connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                return
        self.server.create(name)
        self.script(contender, name).run("setup")

    def fresh(self, contender: Contender, database: str = DATABASE) -> Script:
        self.server.create(database, f"template_{contender.family}")
        return self.script(contender, database)

    def script(self, contender: Contender, database: str, form: str = "") -> Script:
        command = self.peers.command(contender.runs_on, CONTENDERS_DIR / contender.script)
        return Script(command, self.server.environment(database), form or contender.form)

    def fill(self, script: Script, kind: str, items: int, database: str = DATABASE) -> float:
        """Seconds that adding took, without starting and connecting."""
        seconds = float(script.run("enqueue", kind, items)["seconds"])
        self.server.settle(database)
        return seconds

    def drained(self, contender: Contender, script: Script, items: int, processes: int, *, kept: int = 0) -> Account:
        with Crew(script, processes, "noop", contender.consumers, items) as crew:
            crew.go()
            account = crew.drain(self.left(contender))
        self.kept(contender, kept + items)
        return account

    def left(self, contender: Contender) -> Callable[[], int]:
        statement = contender.query("left")
        assert statement is not None
        self._eye.close()
        connection = self._eye = self.server.connect(DATABASE)

        def ask() -> int:
            return int(str(connection.execute(statement.encode()).fetchone()[0]))

        return ask

    def kept(self, contender: Contender, expected: int) -> None:
        """What the database itself says was done."""
        statement = contender.query("kept")
        if statement is None:
            return
        with self.server.connect(DATABASE) as connection:
            found = connection.execute(statement.encode()).fetchone()[0]
        if found != expected:
            raise Wrong(f"{contender.title}: the database keeps {found:,} succeeded items, not {expected:,}")

    @contextmanager
    def old_snapshot(self, wanted: bool) -> Iterator[None]:
        """A transaction that has looked once and stays: no row that dies from now on can be removed."""
        if not wanted:
            yield
            return
        with self.server.connect(DATABASE) as connection:
            connection.execute("set idle_in_transaction_session_timeout = 0")
            connection.execute("begin isolation level repeatable read")
            connection.execute("select count(*) from pg_class")
            yield
            connection.execute("commit")

    def say(self, row: str, contender: Contender, text: str) -> None:
        print(f"  {row:<10} {contender.title:<20} {text}", file=sys.stderr, flush=True)
