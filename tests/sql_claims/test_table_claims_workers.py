"""The reference workers of examples/, as processes, some of which are killed. Real TTLs of two seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from table_of_thoughts import Table

from leasehold.db.binaries import find_binaries

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMANDS = {
    "python": [sys.executable, str(EXAMPLES / "claims_worker.py")],
    "node": ["node", str(EXAMPLES / "claims_worker.mjs")],
    "bash": ["bash", str(EXAMPLES / "claims_worker.sh")],
}
PATIENCE_S = 60
ROWS_MAX = 1000


class Rest(BaseHTTPRequestHandler):
    """PostgREST, as far as the workers use it: /rpc/NAME and two tables. Cuts sets of rows at ROWS_MAX."""

    url: str

    def do_POST(self) -> None:
        path = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = path.path.rsplit("/", 1)[1]
        if path.path.startswith("/rpc/"):
            named = sql.SQL(", ").join(sql.SQL("{} => {}").format(sql.Identifier(k), sql.Placeholder()) for k in body)
            values = [Jsonb(v) if isinstance(v, dict) else v for v in body.values()]
            self.answer(sql.SQL("select * from {}({})").format(sql.Identifier(name), named), values, name)
        else:
            self.answer(
                sql.SQL("insert into thought_words (thought_id, words, worker_id) values (%s, %s, %s) on conflict "
                        "(thought_id) do update set words = excluded.words, worker_id = excluded.worker_id"),
                list(body.values()), name,
            )  # fmt: skip

    def do_GET(self) -> None:
        (wanted,) = parse_qs(urlsplit(self.path).query)["id"]
        self.answer(sql.SQL("select body from thoughts where id = %s"), [wanted.removeprefix("eq.")], "thoughts")

    def answer(self, statement: sql.Composable, values: list, name: str) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as db:
                cursor = db.execute(statement, values)
                rows = cursor.fetchall()[:ROWS_MAX] if cursor.description else None
            scalar = rows and set(rows[0]) == {name}
            status, body = 200, (rows[0][name] if scalar and rows else rows)
        except psycopg.Error as error:
            status, body = 400, {"code": error.sqlstate, "message": str(error)}
        text = json.dumps(body, default=str).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def bare(empty_database: str) -> Iterator[Table]:
    """Workers need one role only; this overrides the two of the other tests."""
    made = Table(empty_database)
    made.rows("create table public.thoughts (id uuid primary key default gen_random_uuid(), body text not null)")
    yield made
    made.db.close()


@pytest.fixture
def worker(table: Table) -> Iterator:
    """Starts workers on the table; what still runs at the end is killed."""
    table.rows("create table thought_words (thought_id uuid primary key, words integer, worker_id text)")
    handler = type("Handler", (Rest,), {"url": table.url})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    started: list[subprocess.Popen] = []

    def start(kind: str, name: str, slow_s: float = 0.05) -> subprocess.Popen:
        environment = os.environ | {
            "DATABASE_URL": table.url, "API_URL": f"http://127.0.0.1:{server.server_port}", "WORKER_ID": name,
            "TTL_S": "2", "BATCH": "4", "SLOW_S": str(slow_s),
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
    server.shutdown()
    server.server_close()


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
    "kinds", [("python",) * 3, ("node",) * 3, ("bash",) * 2, ("python", "node", "bash")], ids="+".join
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
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
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


def test_a_rest_layer_that_cuts_rows_does_not_cut_the_json_functions(table: Table, worker):
    """The stand-in cuts as PostgREST does; a claim that is cut would be held by nobody."""
    table.add(1200)
    table.rows("select claim_next_thoughts('w', 'a', 1200)")
    cut = table.rows("select * from renew_thought_claims('w', 'a')")[:ROWS_MAX]
    assert len(cut) < 1200
    table.rows("select release_claims_for_worker('w', 'a')")
    assert len(table.one("select claim_next_thoughts_json('w', 'a', 1200)")) == 1200
