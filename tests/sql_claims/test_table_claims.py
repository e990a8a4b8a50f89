"""Claims over a user's own table, in SQL: who gets what, what a late write may do, and what an edit opens again."""

from __future__ import annotations

import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from table_of_thoughts import CLAIMS, ORIGINAL, Table

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


def test_unknown_null_and_repeated_ids_are_passed_over(table: Table):
    ids = table.add(3)
    assert table.claim([uuid.uuid4(), None, *ids, ids[0]]) == ids
    assert table.claim(None) == []


def test_a_hundred_thousand_ids_in_one_call(bare: Table):
    bare.rows("create table public.numbers (id bigint primary key)")
    bare.rows("insert into public.numbers select generate_series(1, 100000)")
    bare.rows(script.printed(script.of("public.numbers", "id", "bigint", "number")))
    assert bare.one("select count(*) from claim_numbers(array(select id from numbers), 'w', 'a')") == 100_000
    assert bare.one("select count(distinct token) from number_work_claims") == 100_000
    assert bare.rows("select * from number_claims_remaining('w')")[0][:2] == (0, 100_000)


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
