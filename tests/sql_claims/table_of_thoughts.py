"""A user's table with claims over it, and what its users do."""

from __future__ import annotations

import psycopg

from leasehold.claims import script
from leasehold.db.session import Session
from leasehold.db.target import Target

OWNER = "claims_test_owner"
OUTSIDERS = ("anon", "authenticated")
THOUGHTS = "create table public.thoughts (id uuid primary key default gen_random_uuid(), body text not null, lang text)"
CLAIMS = script.of("public.thoughts", "id", "uuid", "thought", ["body"])
ORIGINAL = """
create table public.thought_work_claims (
    thought_id uuid references public.thoughts on delete cascade, work_type text, worker_id text,
    claimed_at timestamptz default now(), ttl_expires_at timestamptz not null,
    status text default 'claimed' check (status in ('claimed', 'succeeded', 'failed')),
    attempt_count int default 1, last_error text, primary key (thought_id, work_type));
create function public.release_thought(p_thought_id uuid, p_work_type text, p_worker_id text, p_status text,
    p_error text default null) returns boolean language sql as 'select true';
create function public.release_claims_for_worker(p_work_type text, p_worker_id text) returns integer
    language sql as 'select 0';
"""


class Table:
    """`public.thoughts` of one database, and what people do with it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.db = self.connect()

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def session(self) -> Session:
        return Session(Target(url=self.url))

    def rows(self, statement: str, *params: object) -> list[tuple]:
        cursor = self.db.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, *params: object):
        return self.rows(statement, *params)[0][0]

    def add(self, n: int) -> list:
        """New rows; their ids in order."""
        statement = "insert into thoughts (body) select 'thought ' || i from generate_series(1, %s) i returning id"
        return sorted(row[0] for row in self.rows(statement, n))

    def claim(self, ids: list, work: str = "w", worker: str = "a", ttl_s: int = 60) -> list:
        return [r[0] for r in self.rows("select claim_thoughts(%s::uuid[], %s, %s, %s)", ids, work, worker, ttl_s)]

    def next(self, n: int = 10, work: str = "w", worker: str = "a", ttl_s: int = 60) -> list[tuple]:
        """(id, token, attempt, expires_at, fingerprint) of each."""
        return self.rows("select * from claim_next_thoughts(%s, %s, %s, %s)", work, worker, n, ttl_s)

    def release(
        self, id_: object, status: str = "succeeded", work: str = "w", worker: str = "a", **more: object
    ) -> bool:
        named = "".join(f", p_{name} => %s" for name in more)
        return self.one(f"select release_thought(%s, %s, %s, %s{named})", id_, work, worker, status, *more.values())

    def expire(self) -> None:
        """The time of all open claims is over."""
        self.rows("update thought_work_claims set ttl_expires_at = clock_timestamp() where status = 'claimed'")

    def due(self) -> None:
        """All pauses are over."""
        self.rows("update thought_work_claims set retry_at = clock_timestamp() where retry_at is not null")

    def claim_row(self, id_: object, work: str = "w") -> dict:
        names = ("status", "attempt_count", "last_error", "worker_id", "retry_at", "token")
        columns = ", ".join(names)
        statement = f"select {columns} from thought_work_claims where thought_id = %s and work_type = %s"
        (row,) = self.rows(statement, id_, work)
        return dict(zip(names, row, strict=True))


def empty(db: psycopg.Connection, creator: str) -> None:
    """An empty schema public, where *creator* makes things, with default privileges as generous as a host's."""
    db.execute("drop schema if exists public cascade; create schema public authorization owner")
    db.execute("grant usage on schema public to anon, authenticated, service_role")
    db.execute("reset role" if creator == "superuser" else f"set role {creator}")
    for kind in ("tables", "functions", "sequences"):
        defaults = f"alter default privileges in schema public grant all on {kind}"
        db.execute(f"{defaults} to anon, authenticated, service_role")
