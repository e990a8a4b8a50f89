"""A real failover: a standby that follows, a primary that goes away, a promotion while workers work."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from worker_help import ended, eventually, eventually_async, submit

from leasehold import Kind, StepLease, Worker, WorkerConfig
from leasehold.db import embedded
from leasehold.db.binaries import find_binaries, for_account, server_account
from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.options import LeaseOptions
from leasehold.testing import clusters
from leasehold.testing.stories import Kernel

pytestmark = pytest.mark.one_server


@dataclass
class Pair:
    """A primary and its standby. `url` names both; whoever takes writes is the one."""

    home: Path
    url: str
    standby_url: str

    def lose_the_primary(self) -> None:
        embedded.release(self.home)
        embedded.stop(self.home)

    def promote(self) -> None:
        with psycopg.connect(self.standby_url, autocommit=True) as db:
            db.execute("select pg_promote()")


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Every commit waits for the standby, so what was committed is there after the failover."""
    home = Path(clusters.default_home()) / f"failover-{os.getpid()}"
    primary = clusters.start("default", home)
    account = server_account()
    programs = find_binaries() if account is None else for_account(find_binaries(), account, embedded.ROOTS_PLACE)
    run = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    folder = Path(tempfile.mkdtemp(prefix="leasehold-standby-"))
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    with primary.connect() as db:
        for setting in ("wal_level = replica", "max_wal_senders = 4"):
            db.execute(f"alter system set {setting}")
    embedded.stop(next(home.glob("pg*")))
    primary = clusters.start("default", home)
    at = conninfo_to_dict(primary.url)
    copy = [programs.bin_dir / "pg_basebackup", "--pgdata", folder / "data", "--dbname", primary.url]
    subprocess.run([*copy, "--write-recovery-conf", "--checkpoint=fast"], check=True, **run)
    shutil.copy(Path(str(at["host"])).parent / "leasehold.conf", folder)  # named by the copy's own configuration
    if account is not None:
        os.chown(folder / "leasehold.conf", account.uid, account.gid)
    standby = subprocess.Popen(
        [programs.bin_dir / "postgres", "-D", folder / "data", "-k", folder, "-p", str(at["port"]), "-h", ""],
        stdout=(folder / "log").open("wb"), stderr=subprocess.STDOUT, **run,
    )  # fmt: skip
    hosts, ports = f"{quote(str(at['host']), safe='')},{quote(str(folder), safe='')}", f"{at['port']},{at['port']}"
    place = f"postgresql://{at['user']}@/{at['dbname']}"
    made = Pair(next(home.glob("pg*")), f"{place}?host={hosts}&port={ports}",
                f"{place}?host={quote(str(folder), safe='')}&port={at['port']}")  # fmt: skip
    try:
        with primary.connect() as db:
            db.execute("alter system set synchronous_standby_names = '*'")
            db.execute("alter system set synchronous_commit = 'remote_apply'")
            db.execute("select pg_reload_conf()")
            streaming = "select count(*) from pg_stat_replication where state = 'streaming'"
            eventually(lambda: db.execute(streaming).fetchone() == (1,), what="the standby follows")
        yield made
    finally:
        standby.terminate()
        standby.wait(20)
        print((folder / "log").read_text(errors="replace"))
        embedded.release(made.home)
        embedded.stop(made.home)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.anyio
async def test_a_worker_goes_on_after_a_failover_and_every_step_ends_once(pair: Pair):
    """Method: the primary goes in the middle; for a while there is only a standby that takes no writes; then that is
    promoted. Nobody is told: the address names both."""
    runs: Counter[int] = Counter()

    async def run(step: StepLease) -> None:
        runs[step.step_id] += 1

    target = Target(url=pair.url)
    with Session(target, patience_s=60) as session:
        migrate(session)
        kernel = Kernel(session)
        config = WorkerConfig(
            database=target, kinds=[Kind(name="work", timeout_s=60, run=run)], poll_max_s=0.2,
            lease=LeaseOptions(ttl_s=60, heartbeat_s=0.5),
        )  # fmt: skip
        async with Worker(config) as worker:
            first = submit(kernel, [{}] * 20, "work")
            await eventually_async(lambda: ended(kernel, first))
            pair.lose_the_primary()
            await eventually_async(lambda: refuses_writes(pair.standby_url))
            pair.promote()
            second = submit(kernel, [{}] * 20, "work")
            await eventually_async(lambda: ended(kernel, second), 60)
            assert worker.counts.lost == 0
        assert runs == Counter([*first, *second])
        assert kernel.counted("outcome") == 40
        kernel.check()


def refuses_writes(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as db:
        return db.execute("select pg_is_in_recovery()").fetchone() == (True,)
