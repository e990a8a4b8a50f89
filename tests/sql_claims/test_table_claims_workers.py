"""The reference workers of examples/, as processes, some of which are killed. Real TTLs of two seconds.

As a superuser, as the ordinary owner of the table, and as the service role of a hosted database that does not bypass
row security. Node speaks to the stand-in for PostgREST, which takes that role for each request.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from rest import serving
from table_of_thoughts import CLAIMS, Table, empty

from leasehold.claims import script
from leasehold.db.binaries import find_binaries

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMANDS = {
    "python": [sys.executable, str(EXAMPLES / "claims_worker.py")],
    "node": ["node", str(EXAMPLES / "claims_worker.mjs")],
    "bash": ["bash", str(EXAMPLES / "claims_worker.sh")],
}
PATIENCE_S = 60
MADE = """
create table public.thoughts (id uuid primary key default gen_random_uuid(), body text not null);
create table public.thought_words (thought_id uuid primary key, words integer, worker_id text);
"""


@pytest.fixture
def table(hosted: str) -> Iterator[Table]:
    """The table of the hosted server's `owner`, with claims; seen by a superuser."""
    with psycopg.connect(hosted, autocommit=True) as db:
        empty(db, "owner")
        db.execute(MADE)
        db.execute(script.printed(CLAIMS))
    made = Table(hosted)
    yield made
    made.db.close()


@pytest.fixture
def worker(table: Table, role: str) -> Iterator:
    """Starts workers on the table under *role*; what still runs at the end is killed."""
    started: list[subprocess.Popen] = []
    known = None if role == "superuser" else role
    with serving(table.url, known) as api:

        def start(kind: str, name: str, slow_s: float = 0.05) -> subprocess.Popen:
            environment = os.environ | {
                "DATABASE_URL": make_conninfo(table.url, options=f"-c role={known}") if known else table.url,
                "API_URL": api, "WORKER_ID": name, "TTL_S": "2", "BATCH": "4", "SLOW_S": str(slow_s),
                "PATH": f"{os.environ['PATH']}{os.pathsep}{find_binaries().bin_dir}",
            }  # fmt: skip
            process = subprocess.Popen(
                COMMANDS[kind], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            started.append(process)
            return process

        yield start
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def until(table: Table, question: str) -> None:
    """Ask the database until it says yes."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not table.one(question):
        assert time.monotonic() < give_up_at, question
        time.sleep(0.01)


def ended(process: subprocess.Popen) -> int:
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert not errors, errors
    return process.returncode


@pytest.mark.parametrize(
    ("kinds", "role"),
    [
        (("python",) * 3, "owner"),
        (("node",) * 3, "service_role"),
        (("bash",) * 2, "service_role"),
        (("python", "node", "bash"), "superuser"),
    ],
    ids=lambda one: one if isinstance(one, str) else "+".join(one),
)
def test_a_killed_workers_rows_are_done_by_the_others_and_none_twice(table: Table, worker, kinds: tuple[str, ...]):
    table.add(24)
    processes = [worker(kind, f"w{number}") for number, kind in enumerate(kinds)]
    until(table, "select count(*) > 0 from thought_words where worker_id = 'w0'")
    os.killpg(processes[0].pid, signal.SIGKILL)
    processes[0].wait()
    assert [ended(process) for process in processes[1:]] == [0] * (len(kinds) - 1)
    assert table.rows("select done, failed, held, waiting from thought_claims_progress") == [(24, 0, 0, 0)]
    assert table.one("select count(*) from thought_words where words = 2") == 24


@pytest.mark.parametrize("kind", list(COMMANDS))
@pytest.mark.parametrize(
    ("number", "role"), [(signal.SIGTERM, "service_role"), (signal.SIGINT, "owner")], ids=["SIGTERM", "SIGINT"]
)
def test_a_worker_that_is_told_to_stop_finishes_its_row_and_gives_the_others_back(
    table: Table, worker, kind: str, number: signal.Signals
):
    table.add(12)
    process = worker(kind, "w", slow_s=0.2)
    until(table, "select count(*) > 0 from thought_words")
    os.kill(process.pid, number)
    assert ended(process) == 0
    done = table.one("select count(*) from thought_words")
    assert 0 < done < 12
    assert table.rows("select done, failed, held, waiting from thought_claims_progress") == [(done, 0, 0, 12 - done)]
    assert table.one("select max(attempt_count) from thought_work_claims where status = 'waiting'") in (0, None)
