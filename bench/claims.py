"""Claims over a user's table, by batch size, beside a plain `insert … on conflict do nothing` of the same ids.

Then what it costs to look when nothing is to be done: all rows have results, and none was edited.
"""

from __future__ import annotations

import argparse
import threading
import time
import uuid
from collections.abc import Callable

from leasehold.claims import report, script
from leasehold.db.session import Session
from leasehold.db.target import Target

TABLE = """
create schema {0};
create table {0}.thoughts (id uuid primary key default gen_random_uuid(), body text not null);
create table {0}.plain (thought_id uuid references {0}.thoughts on delete cascade, work_type text, worker_id text,
    ttl_expires_at timestamptz not null, primary key (thought_id, work_type));
insert into {0}.thoughts (body) select substr(string_agg(md5(i::text || n), '') || i, 1, {2})
  from generate_series(1, {1}) i, generate_series(1, {2} / 32 + 1) n group by i;
vacuum analyze {0}.thoughts
"""
PLAIN = (
    "insert into {0}.plain select id, %s, 'a', clock_timestamp() + '60 s' from unnest(%s::uuid[]) id on conflict do "
    "nothing returning thought_id"
)
BY_ID = "select * from {0}.claim_thoughts(%s::uuid[], %s, 'a', 60)"
NEXT = "select id from {0}.claim_next_thoughts(%s, 'a', %s, 60, null, %s)"


def timed(work: Callable[[], int]) -> float:
    started = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - started)


def by_id(session: Session, statement: str, ids: list[uuid.UUID], batch: int, work: str, *, ids_first: bool) -> int:
    done = 0
    for start in range(0, len(ids), batch):
        page = ids[start : start + batch]
        done += len(session.fetch(statement, (page, work) if ids_first else (work, page)))
    return done


def drain(session: Session, statement: str, batch: int, work: str) -> int:
    done, last = 0, None
    while rows := session.fetch(statement, (work, batch, last)):
        done += len(rows)
        last = rows[-1][0]
    return done


LOOKS = ("claim_next_thoughts('done', 'a')", "thought_claims_remaining('done')", "thought_claims_progress")
RELEASE = (
    "select {0}.release_thought(thought_id, 'done', 'a', 'succeeded', p_token => token) from {0}.thought_work_claims"
)


def looking(session: Session, schema: str) -> None:
    """All rows are done; the median of five looks, and of releases while the worker held all of them."""
    session.fetch(f"select from {schema}.claim_thoughts(array(select id from {schema}.thoughts), 'done', 'a', 9000)")
    done = timed(lambda: len(session.fetch(f"{RELEASE.format(schema)} where work_type = 'done'")))
    print(f"releases/s while the worker holds them all: {done:,.0f}")
    session.connection.execute(f"vacuum analyze {schema}.thought_work_claims")
    for look in LOOKS:
        print(f"{median_ms(session, f'select * from {schema}.{look}'):>7,.0f} ms  {look}")


def median_ms(session: Session, statement: str) -> float:
    return sorted(1000 / timed(lambda: bool(session.fetch(statement)) or 1) for _ in range(5))[2]


def several(target: Target, statement: str, batch: int, work: str, clients: int) -> int:
    totals: list[int] = []

    def one() -> None:
        with Session(target) as session:
            totals.append(drain(session, statement, batch, work))

    threads = [threading.Thread(target=one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(totals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=160, help="of content in each row")
    parser.add_argument("--looks", action="store_true", help="only what looking costs")
    options = parser.parse_args()
    target, schema = Target(url=options.url), f"bench_{uuid.uuid4().hex[:8]}"
    with Session(target) as session:
        for statement in TABLE.format(schema, options.rows, options.bytes).split(";"):
            session.connection.execute(statement)
        try:
            report.apply(session, script.of(f"{schema}.thoughts", "id", "uuid", "thought", ["body"]))
            ids = [row[0] for row in session.fetch(f"select id from {schema}.thoughts order by id")]
            print(f"claims/s of {options.rows:,} rows\n  batch    plain  by id   next  next, 4 clients")
            for batch in () if options.looks else (1, 10, 100, 1000):
                some = ids[: min(len(ids), batch * 1000)]
                plain = timed(
                    lambda: by_id(session, PLAIN.format(schema), some, batch, f"p{batch}", ids_first=False)  # noqa: B023
                )
                mine = timed(lambda: by_id(session, BY_ID.format(schema), some, batch, f"i{batch}", ids_first=True))  # noqa: B023
                if batch == 1:
                    print(f"{batch:>7} {plain:>8,.0f} {mine:>6,.0f}", flush=True)
                    continue
                following = timed(lambda: drain(session, NEXT.format(schema), batch, f"n{batch}"))  # noqa: B023
                four = timed(lambda: several(target, NEXT.format(schema), batch, f"m{batch}", 4))  # noqa: B023
                print(f"{batch:>7} {plain:>8,.0f} {mine:>6,.0f} {following:>6,.0f} {four:>8,.0f}", flush=True)
            looking(session, schema)
        finally:
            session.connection.execute(f"drop schema {schema} cascade")


if __name__ == "__main__":
    main()
