"""A worker on claims, in Python with psycopg: claim, work, renew, release; as many of them as you like.

    leasehold claims install --table public.thoughts --id id --id-type uuid --name thought --content-column body
    DATABASE_URL=postgresql://… python claims_worker.py

The result and the release commit in one transaction, so a result is written exactly once: a worker that lost its claim
is told `false`, and rolls back. SIGINT and SIGTERM let the row at hand finish and give the others back.
"""

import os
import signal
import socket
import threading

import psycopg

WORK_TYPE = os.environ.get("WORK_TYPE", "count-words")
WORKER = os.environ.get("WORKER_ID", f"{socket.gethostname()}-{os.getpid()}")
BATCH = int(os.environ.get("BATCH", "10"))
TTL_S = int(os.environ.get("TTL_S", "300"))  # some times what a batch takes; it is renewed after every row
SLOW_S = float(os.environ.get("SLOW_S", "0"))  # stands for a slow model

stop = threading.Event()


def work(db, thought_id):
    """Yours to replace. Reads the row, computes, and writes the result; must not commit."""
    (body,) = db.execute("select body from public.thoughts where id = %s", (thought_id,)).fetchone()
    stop.wait(SLOW_S)
    db.execute(
        "insert into public.thought_words (thought_id, words, worker_id) values (%s, %s, %s) "
        "on conflict (thought_id) do update set words = excluded.words, worker_id = excluded.worker_id",
        (thought_id, len(body.split()), WORKER),
    )


def end(db, claim, error=None):
    """Release one claim in the current transaction; whether it was still ours."""
    thought_id, token, _attempt, _expires_at, fingerprint = claim
    row = db.execute(
        "select public.release_thought(p_thought_id => %s, p_work_type => %s, p_worker_id => %s, p_status => %s, "
        "p_error => %s, p_token => %s, p_fingerprint => %s)",
        (thought_id, WORK_TYPE, WORKER, "failed" if error else "succeeded", error, token, fingerprint),
    ).fetchone()
    return row[0]


def work_one(db, claim):
    try:
        with db.transaction() as transaction:
            work(db, claim[0])
            if not end(db, claim):
                raise psycopg.Rollback(transaction)  # noqa: TRY301  (leaves the block, and nothing else)
    except psycopg.OperationalError:
        raise
    except Exception as error:
        end(db, claim, error=f"{type(error).__name__}: {error}"[:500])


def work_batch(db, claims):
    for done, claim in enumerate(claims, 1):
        if stop.is_set():
            return
        work_one(db, claim)
        tokens = [token for _, token, *_ in claims[done:]]
        if tokens:
            renewed = db.execute(
                "select token from public.renew_thought_claims(%s, %s, %s, %s)", (WORK_TYPE, WORKER, TTL_S, tokens)
            ).fetchall()
            held = {token for (token,) in renewed}
            claims[done:] = [one for one in claims[done:] if one[1] in held]


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
        last = None
        while not stop.is_set():
            claims = db.execute(
                "select * from public.claim_next_thoughts(%s, %s, %s, %s, p_after_id => %s)",
                (WORK_TYPE, WORKER, BATCH, TTL_S, last),
            ).fetchall()
            if claims:
                last = claims[-1][0]
                work_batch(db, claims)
                continue
            waiting, held, free_in_s = db.execute(
                "select * from public.thought_claims_remaining(%s)", (WORK_TYPE,)
            ).fetchone()
            if waiting + held == 0:
                break
            stop.wait(min(max(free_in_s or 0, 0.2), 30))
        db.execute("select public.release_thought_claims_for_worker(%s, %s)", (WORK_TYPE, WORKER))


if __name__ == "__main__":
    main()
