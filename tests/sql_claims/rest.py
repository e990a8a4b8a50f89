"""A stand-in for PostgREST, where it matters to claims: /rpc/NAME, two tables, row limits, and errors.

It calls a function the way PostgREST does: one transaction for each request, under the caller's role, arguments by name
from a JSON body cast to the function's types, and the rows cut by LIMIT *outside* the call. So what is cut has been
claimed all the same. Its answers have PostgREST's Content-Range, 206 with `Prefer: count=exact`, and its status for
each SQLSTATE.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import sql

ROWS_MAX = 1000
STATUS = {
    "23503": 409, "23505": 409, "25006": 405, "42501": 403, "42883": 404, "42P01": 404, "P0001": 400, "53400": 500,
    "08": 503, "09": 500, "0L": 403, "0P": 403, "25": 500, "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500,
    "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "58": 500, "F0": 500, "HV": 500, "XX": 500,
}  # fmt: skip
"""docs.postgrest.org, references/errors: by the whole code, else by its class, else 400."""
FUNCTION = """
select p.proretset, t.typtype <> 'c' and p.prorettype <> 'record'::regtype as scalar,
       array(select format('%%I %%s', a.name, format_type(a.type, null))
               from unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) a(name, type)
              where a.name = any (%(names)s))
  from pg_proc p join pg_type t on t.oid = p.prorettype
 where p.pronamespace = 'public'::regnamespace and p.proname = %(name)s
   and p.proargnames[1:p.pronargs] @> %(names)s
   and p.proargnames[1:p.pronargs - p.pronargdefaults] <@ %(names)s
"""


class Rest(BaseHTTPRequestHandler):
    """One request. `url` and `role` are its server's."""

    url: str
    role: str | None
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = path.rsplit("/", 1)[1]
        if path.startswith("/rpc/"):
            self.answer(lambda db: self.call(db, name, body))
        else:
            self.answer(lambda db: self.upsert(db, name, body))

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        (wanted,) = parse_qs(parts.query)["id"]
        statement = sql.SQL("select coalesce(json_agg(r), '[]')::text from (select * from {} where id = %s limit {}) r")
        table = sql.Identifier(parts.path.strip("/"))
        one = wanted.removeprefix("eq.")
        self.answer(lambda db: (200, db.execute(statement.format(table, ROWS_MAX), [one]).fetchone()[0], None))

    def call(self, db: psycopg.Connection, name: str, body: dict[str, Any]) -> tuple[int, str, str | None]:
        found = db.execute(FUNCTION, {"name": name, "names": list(body)}).fetchall()
        if not found:
            message = f"Could not find the function public.{name}({', '.join(body)}) in the schema cache"
            return 404, json.dumps({"code": "PGRST202", "details": None, "hint": None, "message": message}), None
        ((many, scalar, columns),) = found
        names = [sql.Identifier(one) for one in body]
        given = sql.SQL(", ").join(sql.SQL("{0} => a.{0}").format(one) for one in names)
        record = sql.SQL("json_to_record(%s::json) as a({})").format(sql.SQL(", ".join(columns) or "nothing text"))
        wanted = "f.value" if scalar else "f"
        statement = sql.SQL(
            "with source as (select f.* from {}, lateral public.{}({}) f{}) "
            "select (select count(*) from source), (select coalesce(json_agg({}), '[]')::text "
            "from (select * from source limit {}) f)"
        ).format(record, sql.Identifier(name), given, sql.SQL("(value)" if scalar else ""), sql.SQL(wanted), ROWS_MAX)
        total, text = db.execute(statement, [json.dumps(body)]).fetchone()
        if not many:
            return 200, json.dumps(json.loads(text)[0]), None
        told = min(total, ROWS_MAX)
        exact = "count=exact" in self.headers.get("Prefer", "")
        span = f"0-{told - 1}" if told else "*"
        return 206 if exact and total > told else 200, text, f"{span}/{total if exact else '*'}"

    def upsert(self, db: psycopg.Connection, name: str, body: dict[str, Any]) -> tuple[int, str, str | None]:
        columns = [sql.Identifier(one) for one in body]
        changes = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(one) for one in columns)
        db.execute(
            sql.SQL("insert into {} ({}) values ({}) on conflict ({}) do update set {}").format(
                sql.Identifier(name), sql.SQL(", ").join(columns),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)), columns[0], changes,
            ), list(body.values()),
        )  # fmt: skip
        return 201, "", None

    def answer(self, work: Any) -> None:
        content_range = None
        try:
            with psycopg.connect(self.url) as db:
                if self.role is not None:
                    db.execute(sql.SQL("set local role {}").format(sql.Identifier(self.role)))
                status, text, content_range = work(db)
        except psycopg.Error as error:
            state = error.sqlstate or "08000"
            status = STATUS.get(state, STATUS.get(state[:2], 400))
            if status == 403 and self.role == "anon":
                status = 401
            text = json.dumps({"code": state, "details": error.diag.message_detail, "hint": error.diag.message_hint,
                               "message": error.diag.message_primary})  # fmt: skip
        self.send_response(status)
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def serving(url: str, role: str | None = None) -> Iterator[str]:
    """The stand-in on a free loopback port; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Rest,), {"url": url, "role": role}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
