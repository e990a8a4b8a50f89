"""What is measured, on whom, and how large: the names that the table, the JSON and the page share.

A contender is a script of `contenders/` and the packages it runs on. Its three questions to its database are files
beside it: `NAME.left.sql` counts what waits or runs, `NAME.kept.sql` what it keeps as succeeded (a contender that
deletes has none), `NAME.finished.sql` makes rows of work done long ago.

Not here: how a scenario is run (scenarios), how it is printed (table).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONTENDERS_DIR = Path(__file__).parent / "contenders"
YARDSTICK = "ideal"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """`form` is told to the script; contenders of one script share a database schema, so `sql` names whose files."""

    name: str
    title: str
    script: str
    runs_on: str
    """ours, python or node: whose packages."""
    settings: str
    packages: tuple[str, ...] = ()
    """Of those that are pinned, the ones it stands on."""
    consumers: int
    """Concurrent items where they do nothing; sleeping ones are given."""
    form: str = ""
    sql: str = ""
    slow: bool = False
    """It works single items, so it gets fewer of them; rates of such a queue do not depend on how many there are."""
    extra: bool = False
    """A second form of a contender, measured only where the two differ."""

    @property
    def family(self) -> str:
        return self.sql or self.name

    def query(self, which: str) -> str | None:
        path = CONTENDERS_DIR / f"{self.family}.{which}.sql"
        return path.read_text("utf-8") if path.exists() else None


CONTENDERS = (
    Contender(
        name="ideal",
        title="hand-written ideal",
        script="ideal_jobs.py",
        runs_on="python",
        packages=("asyncpg", "uvloop"),
        consumers=20,
        settings="claims and finishes of up to 500 by array on two connections; COPY; finished rows are kept",
    ),
    Contender(
        name="leasehold",
        title="Leasehold",
        script="leasehold_jobs.py",
        runs_on="ours",
        consumers=20,
        settings="one embedded `Worker`, asyncio's own loop; `page_max=500`, `prefetch=1000`, 20 consumers; "
        "`groups.add_all` in pages of 5,000, all in one group",
    ),
    Contender(
        name="leasehold-by-id",
        title="Leasehold, by id",
        script="leasehold_jobs.py",
        runs_on="ours",
        consumers=20,
        form="by id",
        sql="leasehold",
        extra=True,
        settings="the same with `payload=False`: the handler is told the step, and its item is not read",
    ),
    Contender(
        name="graphile",
        title="graphile-worker",
        script="graphile_jobs.mjs",
        runs_on="node",
        packages=("graphile-worker", "node"),
        consumers=24,
        settings="`concurrentJobs: 24`, `localQueue.size: 500` (one more than the concurrency where items sleep or "
        "come one by one), `completeJobBatchDelay: 0`; `addJobs` in pages of 10,000; finished jobs are deleted",
    ),
    Contender(
        name="pgboss",
        title="pg-boss",
        script="pgboss_jobs.mjs",
        runs_on="node",
        packages=("pg-boss", "node"),
        consumers=4,
        settings="`batchSize: 500`, `localConcurrency: 4`, `burstWhenBatchFull`, `useListenNotify`, a pool of 20; "
        "sleeping items in batches of a quarter of the consumers; `insert` in pages of 10,000",
    ),
    Contender(
        name="pgqueuer",
        title="PgQueuer",
        script="pgqueuer_jobs.py",
        runs_on="python",
        packages=("pgqueuer", "asyncpg", "uvloop"),
        consumers=20,
        settings="`batch_size=500`; where items sleep or come one by one `max_concurrent_tasks` as many as consumers, "
        "and batches of half of that; `pgq autovac`; `enqueue` of lists of 10,000",
    ),
    Contender(
        name="procrastinate",
        title="Procrastinate",
        script="procrastinate_jobs.py",
        runs_on="python",
        packages=("procrastinate", "psycopg", "uvloop"),
        consumers=100,
        slow=True,
        settings="`concurrency=100`, a pool of 4 to 20 connections, `listen_notify`; `batch_defer_async` in pages "
        "of 5,000",
    ),
)
BY_NAME = {one.name: one for one in CONTENDERS}
MAIN = tuple(one for one in CONTENDERS if not one.extra)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. Of `ms` and `s` less is better. `size` names a field of Sizes."""

    name: str
    title: str
    unit: str
    size: str


ROWS = (
    Row(name="enqueue", title="bulk enqueue", unit="items/s", size="{drain:,}"),
    Row(name="drain1", title="drain, one process", unit="items/s", size="{drain:,}"),
    Row(name="drain2", title="drain, two processes", unit="items/s", size="{drain:,}"),
    Row(name="start_p50", title="idle worker, start of an item, p50", unit="ms", size="{sends:,}"),
    Row(name="start_p99", title="idle worker, start of an item, p99", unit="ms", size="{sends:,}"),
    Row(name="waiting", title="many waiting, one process", unit="items/s", size="{waiting:,}"),
    Row(name="snapshot", title="many waiting, an old snapshot held", unit="items/s", size="{waiting:,}"),
    Row(name="finished", title="many finished rows kept, one process", unit="items/s", size="{finished:,}"),
    Row(name="groups", title="in 1,000 groups, not one, one process", unit="items/s", size="{drain:,}"),
    Row(name="sleep20", title="sleeps of 0.2 s, 20 consumers", unit="s", size="{naps:,}"),
    Row(name="sleep200", title="sleeps of 0.2 s, 200 consumers", unit="s", size="{naps:,}"),
    Row(name="heartbeat", title="one heartbeat for all that is held", unit="ms", size="{held:,}"),
    Row(name="reap", title="what a dead worker held goes back", unit="ms", size="{held:,}"),
)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What Leasehold wants to reach in *row*: *times* another figure of the same run, or without one just *times*."""

    title: str
    row: str
    times: float
    of: tuple[str, str] | None = None
    """(row, contender)"""


BARS = (
    Bar(title="1.5 times PgQueuer's drain, one process", row="drain1", times=1.5, of=("drain1", "pgqueuer")),
    Bar(title="graphile-worker's drain, two processes", row="drain2", times=1.0, of=("drain2", "graphile")),
    Bar(title="with a snapshot held 0.8 of without", row="snapshot", times=0.8, of=("waiting", "leasehold")),
    Bar(title="many waiting: the drain's rate over 1.5", row="waiting", times=1 / 1.5, of=("drain1", "leasehold")),
    Bar(title="many finished: the drain's rate over 1.5", row="finished", times=1 / 1.5, of=("drain1", "leasehold")),
    Bar(title="start of an item, p50 within 2.5 ms", row="start_p50", times=2.5),
    Bar(title="start of an item, p99 within 10 ms", row="start_p99", times=10.0),
    Bar(title="sleeps at 20 within 1.02 of the ideal", row="sleep20", times=1.02, of=("sleep20", "ideal")),
    Bar(title="sleeps at 200 within 1.06 of the ideal", row="sleep200", times=1.06, of=("sleep200", "ideal")),
)
SCENARIOS = ("drain1", "drain2", "start", "waiting", "finished", "groups", "sleep20", "sleep200", "upkeep")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything. `rounds` are interleaved: every contender once, then every contender again."""

    rounds: int
    long_rounds: int
    """For scenarios whose result hardly varies, or that take long to fill."""
    drain: int
    drain_slow: int
    sends: int
    waiting: int
    window_s: float
    finished: int
    finished_peers: int
    """For the peers: filling in ten times as many of theirs would take longer than all the rest."""
    naps: int
    held: int


FULL = Sizes(
    rounds=3, long_rounds=1, drain=100_000, drain_slow=5_000, sends=200, waiting=1_000_000, window_s=8,
    finished=10_000_000, finished_peers=1_000_000, naps=2000, held=10_000,
)  # fmt: skip
QUICK = Sizes(
    rounds=1, long_rounds=1, drain=100_000, drain_slow=3_000, sends=100, waiting=300_000, window_s=4,
    finished=1_000_000, finished_peers=200_000, naps=1000, held=10_000,
)  # fmt: skip
TINY = Sizes(
    rounds=1, long_rounds=1, drain=2_000, drain_slow=500, sends=10, waiting=5_000, window_s=1,
    finished=5_000, finished_peers=2_000, naps=40, held=500,
)  # fmt: skip
