"""Claims over a user's own table, in SQL: who gets what, what a late write may do, and what an edit opens again."""

from __future__ import annotations

import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from table_of_thoughts import CLAIMS, ORIGINAL, OWNER, THOUGHTS, Table

from leasehold.claims import script
from leasehold.testing.races import Race, deadlocks


def refused(table: Table, sqlstate: str, statement: str, *params: object) -> None:
    with pytest.raises(psycopg.Error) as error:
        table.rows(statement, *params)
    assert error.value.sqlstate == sqlstate
    assert error.value.diag.message_hint


# -- claiming by id ---------------------------------------------------------------------------------------------------


def test_an_id_is_held_by_one_worker_and_another_kind_of_work_is_independent(table: Table):
    ids = table.add(5)
    assert sorted(table.claim(ids, worker="a")) == ids
    assert table.claim(ids, worker="b") == []
    assert sorted(table.claim(ids, work="other", worker="b")) == ids


def test_two_workers_at_once_share_ids_and_never_overlap(table: Table):
    """Method: A has claimed three and not committed; B asks for all, waits for A's insert, and gets the rest."""
    ids = table.add(5)
    with Race(table.url) as race:
        race.begin("A")
        race.do("A", lambda c: c.execute("select claim_thoughts(%s, 'w', 'a')", (ids[:3],)).fetchall())
        race.start(
            "B", lambda c: [r[0] for r in c.execute("select claim_thoughts(%s, 'w', 'b')", (ids,)).fetchall()]
        ).waits()
        race.commit("A")
        assert race.result("B") == ids[3:]


def test_shuffled_overlapping_arrays_of_eight_workers_neither_deadlock_nor_double(table: Table):
    ids = table.add(300)

    def work(number: int) -> list:
        rng, got = random.Random(number), []
        with table.connect() as db:
            for _ in range(12):
                some = rng.sample(ids, 120)
                got += [r[0] for r in db.execute("select claim_thoughts(%s, 'w', %s)", (some, f"w{number}")).fetchall()]
        return got

    with ThreadPoolExecutor(8) as threads:
        taken = [one for got in threads.map(work, range(8)) for one in got]
    assert len(taken) == len(set(taken)) == 300
    assert deadlocks(table.url) == 0


def test_claims_that_overlap_take_their_ids_in_one_order_and_do_not_deadlock(table: Table):
    """Method: A has claimed the first id; B asks for all, backwards, and waits for A with nothing else in hand."""
    ids = table.add(5)

    def claim(worker: str, some: list):
        return lambda c: [r[0] for r in c.execute("select claim_thoughts(%s, 'w', %s)", (some, worker)).fetchall()]

    with Race(table.url) as race:
        race.begin("A")
        race.do("A", claim("a", ids[:1]))
        race.start("B", claim("b", ids[::-1])).waits()
        assert race.do("A", claim("a", ids[1:])) == ids[1:]
        race.commit("A")
        assert race.result("B") == []
    assert deadlocks(table.url) == 0  # a claim that was a deadlock's victim begins again, and only the statistics know


def test_unknown_null_and_repeated_ids_are_passed_over(table: Table):
    ids = table.add(3)
    assert table.claim([uuid.uuid4(), None, *ids, ids[0]]) == ids
    assert table.claim(None) == []


@pytest.mark.parametrize("bare", ["owner"], indirect=True)
def test_a_hundred_thousand_ids_in_one_call(bare: Table):
    bare.rows("create table public.numbers (id bigint primary key)")
    bare.rows("insert into public.numbers select generate_series(1, 100000)")
    bare.rows(script.printed(script.of("public.numbers", "id", "bigint", "number")))
    assert bare.one("select count(*) from claim_numbers(array(select id from numbers), 'w', 'a')") == 100_000
    assert bare.one("select count(distinct token) from number_work_claims") == 100_000
    assert bare.rows("select * from number_claims_remaining('w')")[0][:2] == (0, 100_000)
    tokens = "array(select token from number_work_claims order by random())"
    assert bare.one(f"select count(*) from renew_number_claims('w', 'a', 900, {tokens})") == 100_000
    assert len(bare.one(f"select renew_number_claims_json('w', 'a', 900, {tokens})")) == 100_000
    assert bare.one("select release_claims_for_worker('w', 'a')") == 100_000
    taken = bare.one("select count(*) from generate_series(1, 10) i, claim_next_numbers('w', 'b', 10000 + 0 * i)")
    assert (taken, bare.one("select count(*) from claim_next_numbers('w', 'b')")) == (100_000, 0)


def test_a_release_finds_its_claim_by_key_however_much_its_worker_holds(table: Table):
    """Method: index entries that a hundred releases read, as the server counts them, without statistics."""
    claims = [(one, table.claim_row(one)["token"]) for one in table.claim(table.add(5000))[:100]]
    read = (
        "select sum(pg_stat_get_xact_tuples_returned(i.indexrelid))::int from pg_index i "
        "where i.indrelid = 'thought_work_claims'::regclass"
    )
    with table.db.transaction():
        before = table.one(read)
        for one, token in claims:
            assert table.release(one, token=token)
        assert table.one(read) - before < 1000


# -- server-side candidates -------------------------------------------------------------------------------------------


def test_workers_choosing_at_once_neither_wait_nor_overlap(table: Table):
    table.add(40)
    with Race(table.url) as race:
        race.begin("A")
        first = race.do("A", lambda c: c.execute("select id from claim_next_thoughts('w', 'a', 15)").fetchall())
        second = race.do("B", lambda c: c.execute("select id from claim_next_thoughts('w', 'b', 15)").fetchall())
        race.commit("A")
    assert len(first) == len(second) == 15
    assert not set(first) & set(second)


def test_an_expired_claim_is_offered_when_it_is_the_only_work_left(table: Table):
    (only,) = table.add(1)
    table.claim([only], worker="dead")
    assert table.next(worker="b") == []
    (waiting, held, free_in_s) = table.rows("select * from thought_claims_remaining('w')")[0]
    assert (waiting, held) == (0, 1)
    assert 0 < free_in_s <= 60
    table.expire()
    assert table.rows("select waiting, held, next_free_in_seconds from thought_claims_remaining('w')") == [(1, 0, 0)]
    assert [r[0] for r in table.next(worker="b")] == [only]


def test_an_empty_array_reaps(table: Table):
    (only,) = table.add(1)
    table.claim([only])
    table.expire()
    assert table.claim([]) == []
    assert table.claim_row(only)["status"] == "waiting"


def test_finished_rows_never_hide_older_unclaimed_ones(table: Table):
    ids = table.add(60)
    for one in table.claim(ids[:50]):
        table.release(one)
    assert [r[0] for r in table.next(20)] == ids[50:]
    (newer,) = table.rows("insert into thoughts values ('00000000-0000-4000-8000-000000000000', 'x') returning id")
    found = table.rows("select id from claim_next_thoughts('w', 'a', 5, p_after_id => %s)", ids[-1])
    assert found == [newer], "a walk that finds nothing behind its mark begins anew"


def test_a_filter_is_values_of_columns_and_nothing_else(table: Table):
    table.add(3)
    table.rows("update thoughts set lang = 'x'' or true --' where body = 'thought 2'")
    call = "select fingerprint from claim_next_thoughts('w', 'a', 10, 60, %s)"
    assert len(table.rows(call, '{"lang": "x\' or true --"}')) == 1
    assert table.rows(call, '{"body": "nothing"}') == []
    assert table.rows("select waiting from thought_claims_remaining('w', '{\"body\": \"thought 1\"}')") == [(1,)]
    for wrong in ('{"no_column": 1}', '["lang"]', '{"lang": {"a": 1}}', '{"ctid": "(0,1)"}'):
        refused(table, "LC004", call, wrong)


def test_more_than_a_thousand_claims_come_as_one_json_value(table: Table):
    ids = table.add(2500)
    found = table.one("select claim_next_thoughts_json('w', 'a', 1500)")
    more = table.one("select claim_thoughts_json(%s::uuid[], 'w', 'b')", ids)
    assert (len(found), len(more)) == (1500, 1000)
    assert set(found[0]) == {"id", "token", "attempt", "expires_at", "fingerprint"}


# -- holding, renewing, releasing -------------------------------------------------------------------------------------


def test_a_release_by_who_does_not_hold_the_claim_is_false(table: Table):
    (only,) = table.add(1)
    ((_, token, *_),) = table.next()
    assert not table.release(only, worker="b")
    table.expire()
    table.claim([])
    assert not table.release(only, token=token), "reaped"
    ((_, newer, *_),) = table.next()
    assert newer > token
    assert not table.release(only, token=token), "claimed again under the same name"
    assert table.claim_row(only)["status"] == "claimed"
    assert table.release(only, token=newer)
    assert not table.release(only, token=newer)


def test_a_bulk_release_frees_only_its_workers_open_claims_of_that_work(table: Table):
    ids = table.add(5)
    table.claim(ids[:3], worker="a")
    table.claim(ids[3:], worker="b")
    table.claim(ids[:1], work="other", worker="a")
    table.release(ids[0])
    assert table.one("select release_claims_for_worker('w', 'a')") == 2
    assert table.one("select release_claims_for_worker('w', 'a')") == 0
    assert [r[0] for r in table.next(worker="c")] == sorted(ids[1:3])
    assert table.claim_row(ids[1])["attempt_count"] == 1, "what was given back is no attempt"


def test_an_expired_claim_that_nobody_reaped_is_renewed_and_a_reaped_one_is_not(table: Table):
    (only,) = table.add(1)
    ((_, token, *_),) = table.next()
    table.expire()
    renew = "select token from renew_thought_claims('w', 'a', 60, %s::bigint[])"
    assert table.rows(renew, [token]) == [(token,)]
    assert table.next(worker="b") == []
    table.expire()
    table.claim([], worker="b")
    assert table.rows(renew, [token]) == []
    assert table.claim_row(only)["status"] == "waiting"


def test_a_renewal_is_for_its_workers_own_tokens(table: Table):
    table.add(3)
    first, second = table.next(2)
    ((_, others, *_),) = table.next(1, worker="b")
    renew = "select token from renew_thought_claims('w', 'a', 600, %s::bigint[])"
    assert table.rows(renew, [first[1], others]) == [(first[1],)]
    assert table.rows("select count(*) from thought_work_claims where ttl_expires_at > now() + '5 min'") == [(1,)]
    assert table.rows(renew, None) == [(first[1],), (second[1],)]


def test_attempts_survive_reaping_and_the_last_one_ends_failed(table: Table):
    (only,) = table.add(1)
    for attempt in range(1, 6):
        assert [r[2] for r in table.next(worker=f"w{attempt}")] == [attempt]
        table.expire()
    assert table.next() == []
    row = table.claim_row(only)
    assert (row["status"], row["attempt_count"], row["retry_at"]) == ("failed", 5, None)
    assert row["last_error"] == "attempt 5 of 5, by worker w5, expired"


def test_a_failure_comes_again_after_a_pause_that_doubles(table: Table):
    (only,) = table.add(1)
    pauses = []
    for _ in range(4):
        table.next()
        assert table.release(only, "failed", error="no")
        assert table.next() == [], "not before its time"
        pause_s = table.one("select extract(epoch from retry_at - finished_at)::float8 from thought_work_claims")
        pauses.append(round(pause_s))
        table.due()
    assert pauses == [10, 20, 40, 80]
    table.next()
    table.release(only, "failed", error="no")
    table.due()
    assert table.next() == []
    assert table.claim_row(only)["last_error"] == "no"


def test_a_failure_may_say_its_pause_or_that_it_is_final(table: Table):
    one, two = table.add(2)
    table.claim([one, two])
    table.release(one, "failed", retry_after_seconds=0)
    table.release(two, "failed", final=True)
    assert [r[0] for r in table.next()] == [one]


# -- content ----------------------------------------------------------------------------------------------------------


def test_an_edit_after_success_opens_the_work_again(table: Table):
    (only,) = table.add(1)
    table.next()
    table.release(only)
    assert table.next() == []
    table.rows("update thoughts set lang = 'en'")
    assert table.next() == [], "a column that is no content"
    table.rows("update thoughts set body = 'edited'")
    assert table.claim([only]) == [only]
    table.release(only)
    assert table.claim([only]) == []


def test_a_result_from_old_content_is_never_current(table: Table):
    """Both ways: the worker names the content it read, or the claim's counts."""
    (only,) = table.add(1)
    for more in (False, True):
        ((_, _, _, _, fingerprint),) = table.next()
        table.rows("update thoughts set body = body || ' edited'")
        assert table.release(only, **({"fingerprint": fingerprint} if more else {}))
        assert table.rows("select done, waiting from thought_claims_progress") == [(0, 1)]
    table.next()
    read = table.one("select thought_fingerprint(%s)", only)
    assert table.release(only, fingerprint=read)
    assert table.rows("select done, waiting from thought_claims_progress") == [(1, 0)]


def test_a_fingerprint_is_the_same_under_every_callers_settings(bare: Table):
    bare.rows("create table public.odd (id bigint primary key, at timestamptz, span interval, raw bytea, x float8)")
    bare.rows("insert into public.odd values (1, now(), '1 day 2 hours', '\\x0102', 0.1)")
    bare.rows(script.printed(script.of("public.odd", "id", "bigint", "odd")))
    before = bare.one("select odd_fingerprint(1)")
    bare.rows("set timezone = 'Asia/Tokyo'; set intervalstyle = 'iso_8601'")
    bare.rows("set bytea_output = 'escape'; set extra_float_digits = 0")
    assert bare.one("select odd_fingerprint(1)") == before


def naive(table: Table) -> list:
    """Ids of results whose content is another than they were made from, by comparing every content."""
    return table.rows(
        "select c.thought_id from thought_work_claims c join thoughts t on t.id = c.thought_id "
        "where c.retry_at is null and c.status in ('succeeded', 'failed') "
        "and c.fingerprint <> thought_fingerprint(t.id) order by 1"
    )


WRITES = {
    "edit": "update thoughts set body = body || 'x' where id = %s",
    "edit back": "update thoughts set body = split_part(body, 'x', 1) where id = %s",
    "write beside": "update thoughts set lang = coalesce(lang, '') || 'x' where id = %s",
    "write again": "with o as (delete from thoughts where id = %s returning *) insert into thoughts select * from o",
}


@pytest.mark.parametrize("bare", ["owner"], indirect=True)
@pytest.mark.parametrize("seed", range(3))
def test_versions_of_rows_say_the_same_as_their_contents(table: Table, seed: int):
    """Method: writes, releases, rewrites of both tables, at random; what would be claimed again is compared with all
    contents after each."""
    rng, ids = random.Random(seed), table.add(12)
    opened = 0
    for _ in range(80):
        one = rng.choice(ids)
        what = rng.choice([*WRITES, "work", "work", "rewrite", "undo"])
        if what in WRITES:
            table.rows(WRITES[what], one)
        elif what == "rewrite":
            table.rows(rng.choice(["vacuum full thoughts", "cluster thoughts using thoughts_pkey", "vacuum thoughts"]))
        elif what == "undo":
            table.rows("begin")
            table.rows(WRITES["edit"], one)
            table.claim([one], ttl_s=600)
            table.rows("rollback")
        elif table.claim([one]):
            table.rows("begin")
            if rng.random() < 0.6:
                table.rows(WRITES[rng.choice(["edit", "write beside"])], one)
            table.release(one, rng.choice(["succeeded", "failed"]), final=True)
            table.rows("commit")
        stale = naive(table)
        opened += len(stale)
        seen = table.rows("select id from thought_claims_compared('w', null) d where d.was <> d.fingerprint order by 1")
        assert seen == stale
        if rng.random() < 0.3:
            table.rows("begin")
            table.rows(
                "update thought_work_claims set retry_at = null where retry_at is not null and status = 'failed'"
            )
            got = {r[0] for r in table.next(100)}
            assert {r[0] for r in stale} <= got
            table.rows("rollback")
        if rng.random() < 0.2:
            for again in table.next(3):
                table.release(again[0])
    assert opened


def test_looking_for_edits_reads_no_content_that_was_not_written_since(table: Table):
    """Method: contents lie outside the rows, and the server counts the blocks it reads there. A first look may note
    what was written beside the content; the second finds nothing to read. Nor does the server read for itself."""
    table.rows("alter table thoughts set (autovacuum_enabled = off, toast.autovacuum_enabled = off)")
    table.rows(
        "insert into thoughts (body) select string_agg(md5(i::text || n), '') "
        "from generate_series(1, 50) i, generate_series(1, 300) n group by i"
    )
    for one in [r[0] for r in table.next(50)]:
        table.release(one)
    table.rows("update thoughts set lang = 'en'")

    def read() -> int:
        with table.connect() as db:
            db.execute("select count(*) from claim_next_thoughts('w', 'a')")
            db.execute("select * from thought_claims_remaining('w')")
            db.execute("select * from thought_claims_progress")
            db.execute("select pg_stat_force_next_flush()")
        return table.one(
            "select toast_blks_read + toast_blks_hit from pg_statio_user_tables where relname = 'thoughts'"
        )

    read()
    before = read()
    assert before > 0
    assert read() == before
    assert table.rows("select done, waiting from thought_claims_progress") == [(50, 0)]


def test_a_version_of_another_server_means_nothing(table: Table):
    """What a restore leaves: the same file, place and transaction may be another row. Then contents are compared."""
    (only,) = table.add(1)
    table.next()
    table.release(only)
    table.rows("update thought_work_claims set fingerprint = md5('older')")
    assert table.next() == [], "this server's version of the row is believed"
    table.rows("update thought_work_claims set row_version = '1' || row_version")
    assert [r[0] for r in table.next()] == [only]


def test_where_versions_mean_nothing_contents_are_compared(bare: Table):
    """A table that is no heap; here one that only has another name for it."""
    if bare.one("select current_user") == OWNER:
        with psycopg.connect(bare.url.replace(f"-c role={OWNER}", "-c jit=off"), autocommit=True) as admin:
            admin.execute("revoke execute on function pg_control_system() from public")
    else:
        bare.rows("create access method other type table handler heap_tableam_handler")
        bare.rows("drop table thoughts")
        bare.rows(THOUGHTS + " using other")
    bare.rows(script.printed(CLAIMS))
    (only,) = bare.add(1)
    bare.next()
    assert bare.release(only)
    assert bare.one("select row_version from thought_work_claims") is None
    assert bare.next() == []
    bare.rows("update thoughts set body = 'edited'")
    assert [r[0] for r in bare.next()] == [only]


# -- the subject goes away --------------------------------------------------------------------------------------------


def test_deleting_the_row_takes_its_claims_along(table: Table):
    ids = table.add(2)
    table.claim(ids)
    table.rows("delete from thoughts where id = %s", ids[0])
    assert table.rows("select thought_id from thought_work_claims") == [(ids[1],)]


@pytest.mark.parametrize("call", ["claim_thoughts(%s::uuid[], 'w', 'a') id", "claim_next_thoughts('w', 'a', 10)"])
def test_a_row_deleted_meanwhile_does_not_fail_the_batch(table: Table, call: str):
    """Method: the deletion is not committed when the claim begins, which then waits for it on the foreign key."""
    ids = table.add(4)
    with Race(table.url) as race:
        race.begin("A")
        race.do("A", lambda c: c.execute("delete from thoughts where id = %s", (ids[1],)))
        params = (ids,) if "%s" in call else None
        race.start("B", lambda c: c.execute(f"select id from {call}", params).fetchall()).waits()
        race.commit("A")
        assert [r[0] for r in race.result("B")] == [ids[0], *ids[2:]]


def test_claims_beside_constant_deletions_never_fail(table: Table):
    table.add(400)

    def delete() -> None:
        with table.connect() as db:
            for _ in range(60):
                try:
                    db.execute("delete from thoughts where id in (select id from thoughts order by random() limit 3)")
                except psycopg.errors.DeadlockDetected:
                    continue

    def claim(worker: int) -> list:
        got = []
        with table.connect() as db:
            for _ in range(60):
                got += [r[0] for r in db.execute("select id from claim_next_thoughts('w', %s, 5)", (f"{worker}",))]
        return got

    with ThreadPoolExecutor(4) as threads:
        deleting = threads.submit(delete)
        taken = [one for got in threads.map(claim, range(3)) for one in got]
        deleting.result()
    assert len(taken) == len(set(taken))


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_meant_is_refused_with_a_code_and_a_hint(table: Table):
    (only,) = table.add(1)
    refused(table, "LC002", "select claim_thoughts('{}', 'w', 'a', 0)")
    refused(table, "LC002", "select claim_next_thoughts('w', 'a', 1, -5)")
    refused(table, "LC001", "select claim_thoughts('{}', ' ', 'a')")
    refused(table, "LC001", "select claim_thoughts('{}', 'w', null)")
    refused(table, "LC003", "select release_thought(%s, 'w', 'a', 'done')", only)
    refused(table, "LC005", "select claim_next_thoughts('w', 'a', 0)")
    refused(table, "LC005", "select release_thought(%s, 'w', 'a', 'succeeded', p_fingerprint => 'sha')", only)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_transaction_that_cannot_see_the_present_gets_a_retryable_error(table: Table, level: str):
    ids = table.add(1)
    for call in (
        "claim_thoughts(%s::uuid[], 'w', 'a')",
        "claim_next_thoughts('w', 'a')",
        "renew_thought_claims('w', 'a')",
    ):
        table.rows(f"begin isolation level {level}")
        refused(table, "40001", f"select {call}", *([ids] if "%s" in call else []))
        table.rows("rollback")


# -- the script -------------------------------------------------------------------------------------------------------


def test_applying_it_again_changes_nothing(table: Table):
    def state() -> list:
        return table.rows(
            "select relname, relacl::text from pg_class where relnamespace = 'public'::regnamespace "
            "union all select p.oid::regprocedure::text, p.proacl::text from pg_proc p "
            "where pronamespace = 'public'::regnamespace union all select conname, pg_get_constraintdef(oid) "
            "from pg_constraint where connamespace = 'public'::regnamespace order by 1"
        )

    (only,) = table.add(1)
    table.claim([only])
    before = state()
    table.rows(script.printed(CLAIMS))
    assert state() == before
    assert table.claim([only], worker="b") == [], "claims stay"


def test_it_converges_over_the_original_table_and_keeps_its_rows(bare: Table):
    bare.rows(ORIGINAL)
    done, held, dead, failed = bare.add(4)
    bare.rows(
        "insert into thought_work_claims (thought_id, work_type, worker_id, ttl_expires_at, status, attempt_count) "
        "values (%s, 'w', 'a', now() + '1 hour', 'succeeded', 1), (%s, 'w', 'a', now() + '1 hour', 'claimed', 1), "
        "(%s, 'w', 'a', now() - interval '1 hour', 'claimed', 3), (%s, 'w', 'a', now(), 'failed', 1)",
        done, held, dead, failed,
    )  # fmt: skip
    for _ in range(2):
        bare.rows(script.printed(CLAIMS))
    assert bare.one("select count(distinct token) from thought_work_claims") == 4
    assert [(r[0], r[2]) for r in bare.next()] == [(dead, 4)]
    bare.rows("update thoughts set body = 'edited'")
    assert bare.next(worker="b") == [], "a result of unknown content is not done again"
    assert bare.release(held), "the call that old workers make means one function"
    assert bare.one("select release_claims_for_worker('w', 'a')") == 1


NAMES = ("plain", "Quo\"te's", "Größe % {{x}} \\d :y", "select")


def test_a_result_stays_when_the_script_is_run_with_other_content_columns(table: Table):
    """What was current under the columns before is current under the new ones; what was not is open."""
    current, edited, held = table.add(3)
    table.claim([current, edited, held])
    table.release(current)
    table.release(edited)
    table.rows("update thoughts set body = 'edited' where id = %s", edited)
    table.rows(script.printed(script.of("public.thoughts", "id", "uuid", "thought", ["body", "lang"])))
    assert table.release(held)
    assert [r[0] for r in table.next()] == [edited]
    table.rows("update thoughts set lang = 'en' where id = %s", current)
    assert [r[0] for r in table.next()] == [current]


def test_another_cap_of_attempts_counts_for_the_rows_that_are_there(table: Table):
    table.add(1)
    table.next()
    table.rows(script.printed(script.of("public.thoughts", "id", "uuid", "thought", ["body"], 1)))
    table.expire()
    assert table.next() == []
    assert table.one("select last_error from thought_work_claims") == "attempt 1 of 1, by worker a, expired"


def test_columns_named_like_the_scripts_own_words_are_only_columns(bare: Table):
    words = ("p_work_type", "p_worker_id", "p_ttl_seconds", "p_filter", "p_limit", "p_after_id", "p_word_id", "v_now",
             "v_ids", "v_after", "v_class", "v_left", "t", "c", "w", "s", "f", "token", "attempt", "expires_at", "was",
             "fingerprint", "held", "waiting", "status", "work_type", "worker_id", "version")  # fmt: skip
    bare.rows(f"create table public.words (id bigint primary key, {', '.join(f'{one} text' for one in words)})")
    bare.rows("insert into public.words (id, t, p_filter) select i, 'same', 'x' from generate_series(1, 4) i")
    bare.rows(script.printed(script.of("public.words", "id", "bigint", "word")))
    assert bare.rows("select id from claim_next_words('w', 'a', 2)") == [(1,), (2,)]
    assert bare.rows("select id from claim_next_words('w', 'b', 1, 60, '{\"p_filter\": \"x\"}')") == [(3,)]
    assert bare.rows("select claim_words('{3,4}', 'w', 'c')") == [(4,)]
    assert bare.one("select release_word(2, 'w', 'a', 'succeeded')")
    assert bare.rows("select waiting, held from word_claims_remaining('w')") == [(0, 3)]
    bare.rows("update words set held = 'edited' where id = 2")
    assert bare.rows("select id from claim_next_words('w', 'b')") == [(2,)], "every column is content"
    assert bare.one("select count(distinct word_fingerprint(id)) from words") == 4


KEYS = (("uuid", "uuid"), ("bigint", "integer"), ("text", "varchar(40)"))
CASES = [*((name, *KEYS[0]) for name in NAMES), *((NAMES[1], *key) for key in KEYS[1:])]


@pytest.mark.parametrize(("name", "id_type", "column"), CASES)
def test_any_names_and_key_types(bare: Table, name: str, id_type: str, column: str):
    """Every name with one type, and every type with one name."""
    q = script.quoted(name)
    escaped = q.replace("%", "%%")
    value = "gen_random_uuid()" if id_type == "uuid" else "7"
    bare.rows(f"create schema {q}; create table {q}.{q} ({q} {column} primary key, {script.quoted(name + ' 2')} text)")
    bare.rows(f"insert into {q}.{q} values ({value}, 'x')")
    claims = script.of(f"{q}.{q}", q, id_type, "thing", [script.quoted(name + " 2")])
    for _ in range(2):
        bare.rows(script.printed(claims))
    (only,) = bare.rows(f"select id, token, fingerprint from {q}.claim_next_things('w', 'a')")
    assert bare.one(f"select {q}.release_claims_for_worker('w', 'a')") == 1
    assert bare.rows(f"select id from {q}.claim_next_things('w', 'a')") == [only[:1]]
    assert bare.one(f"select {escaped}.release_thing(%s, 'w', 'a', 'succeeded')", only[0])  # fmt: skip
    with bare.session() as session:
        from leasehold.claims import registry, report

        assert registry.find(session, "thing") == claims
        assert report.progress(session, claims)[0].done == 1
        assert report.listed(session, claims, report.Filter(worker="a"), "succeeded")[0].id == str(only[0])
        report.remove(session, claims)
    assert bare.one("select count(*) from pg_proc where pronamespace = %s::regnamespace", q) == 0


def test_two_tables_of_one_schema_share_the_bulk_release_until_the_last_one_goes(table: Table):
    table.rows("create table ideas (id bigint primary key); insert into ideas values (1)")
    ideas = script.of("ideas", "id", "bigint", "idea")
    table.rows(script.printed(ideas))
    table.add(1)
    table.next()
    table.rows("select claim_next_ideas('w', 'a')")
    assert table.one("select release_claims_for_worker('w', 'a')") == 2
    table.rows(script.rollback(ideas))
    assert table.one("select release_claims_for_worker('w', 'a')") == 0
    table.rows(script.rollback(CLAIMS))
    assert table.one("select count(*) from pg_proc where pronamespace = 'public'::regnamespace") == 0
    assert table.one("select count(*) from thoughts") == 1


def test_the_rollback_at_the_end_is_what_uninstall_does(table: Table):
    text = script.printed(CLAIMS)
    undo = text[text.index("-- Rollback") :].splitlines()[2:]
    table.rows("\n".join(line.removeprefix("-- ").removeprefix("--") for line in undo))
    left = table.rows("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind <> 'i'")
    assert left == [("thoughts",)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"table": "public.nothing"}, "no table"),
        ({"id": "nothing"}, "not there"),
        ({"id": "body", "id_type": "text"}, "not unique"),
        ({"id_type": "bigint"}, "not bigint"),
        ({"content": ("nothing",)}, "no column nothing"),
    ],
)
def test_what_does_not_fit_the_table_is_said_before_anything_is_made(bare: Table, changes: dict, said: str):
    wanted = {"table": "public.thoughts", "id": "id", "id_type": "uuid", "name": "thought"} | changes
    with pytest.raises(psycopg.Error, match=said) as error:
        bare.rows(script.printed(script.of(**wanted)))
    assert error.value.sqlstate == "LC010"
    bare.rows("rollback")
    assert bare.one("select to_regclass('public.thought_work_claims')") is None


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("create view public.other as select * from thoughts", "is a view"),
        ("create materialized view public.other as select * from thoughts", "is a view"),
        ("create unlogged table public.other (id uuid primary key)", "is unlogged"),
        (
            "create table public.other (id uuid primary key); create table child () inherits (public.other)",
            "is a parent",
        ),
    ],
)
def test_what_is_no_table_of_rows_with_a_key_is_refused_by_its_name(bare: Table, made: str, said: str):
    bare.rows(made)
    with pytest.raises(psycopg.Error, match=said) as error:
        bare.rows(script.printed(script.of("public.other", "id", "uuid", "other")))
    assert error.value.sqlstate == "LC010"


def test_partitions_and_empty_tables_are_tables(bare: Table):
    bare.rows("create table public.parts (id bigint primary key, body text) partition by hash (id)")
    for part in range(2):
        bare.rows(f"create table parts{part} partition of parts for values with (modulus 2, remainder {part})")
    bare.rows(script.printed(script.of("public.parts", "id", "bigint", "part")))
    assert bare.rows("select * from claim_next_parts('w', 'a')") == []
    assert bare.rows("select * from part_claims_remaining('w')") == [(0, 0, None)]
    assert bare.rows("select * from part_claims_progress") == []
    bare.rows("insert into parts select i, 'x' from generate_series(1, 20) i")
    assert [r[0] for r in bare.rows("select id from claim_next_parts('w', 'a', 15)")] == list(range(1, 16))
    assert bare.one("select bool_and(release_part(id, 'w', 'a', 'succeeded')) from parts where id < 16")
    bare.rows("update parts set body = 'edited' where id in (3, 4); delete from parts where id = 20")
    assert [r[0] for r in bare.rows("select id from claim_next_parts('w', 'a', 15)")] == [3, 4, 16, 17, 18, 19]


def test_ids_of_any_text(bare: Table):
    odd = ["", " ", "a'b", 'a"b', "a\nb", "%s", "\\", "é", "😀", "x" * 2000, "{}", "null", "a,b", "(1)", "\u202e"]
    bare.rows("create table public.words (id text primary key)")
    for one in odd:
        bare.rows("insert into public.words values (%s)", one)
    bare.rows(script.printed(script.of("public.words", "id", "text", "word")))
    assert sorted(r[0] for r in bare.rows("select claim_words(array(select id from words), 'w', 'a')")) == sorted(odd)
    for one in odd:
        assert bare.one("select release_word(%s, 'w', 'a', 'failed', 'no', p_final => true)", one)
    with bare.session() as session:
        from leasehold.claims import registry, report

        claims = registry.find(session, "word")
        for one in odd:
            assert report.retry(session, claims, report.Filter(id=one)) == 1


def test_progress_accounts_for_every_row(table: Table):
    ids = table.add(10)
    table.claim(ids[:6])
    for one in ids[:3]:
        table.release(one)
    table.release(ids[3], "failed", final=True)
    table.release(ids[4], "failed")
    ((work, done, failed, held, waiting, rate, eta),) = table.rows("select * from thought_claims_progress")
    assert (work, done, failed, held, waiting) == ("w", 3, 1, 1, 5)
    assert rate > 0
    assert eta > 0
