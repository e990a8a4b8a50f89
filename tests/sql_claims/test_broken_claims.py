"""Broken variants: each guard of the script is removed once, and a scenario of this suite must notice.

A variant is an edit of the template's own text, so it cannot drift from it: when the text it looks for is gone, the test
fails and says so. The scenario is the very test that guards it, run on a table whose claims the broken script made.
"""

# ruff: noqa: E501  (the edits quote the template as it is)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest
import test_table_claims as claims
import test_table_claims_http as http
import test_table_claims_roles as roles
from rest import serving
from table_of_thoughts import CLAIMS, THOUGHTS, Table, empty

from leasehold.claims import script


@dataclass(frozen=True)
class Variant:
    """In the template, each text of *edits* is replaced; *caught_by* must then fail."""

    caught_by: object
    edits: tuple[tuple[str, str], ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    arguments: tuple[tuple[str, object], ...] = ()


VARIANTS = {
    "a release does not look at the token": Variant(
        claims.test_a_release_by_who_does_not_hold_the_claim_is_false,
        (("and (p_token is null or held.token = p_token);", ";"),),
    ),
    "a release does not look at the worker": Variant(
        claims.test_a_release_by_who_does_not_hold_the_claim_is_false,
        (("and held.worker_id = p_worker_id and held.status", "and held.status"),),
    ),
    "a release does not look whether the claim is held": Variant(
        claims.test_a_release_by_who_does_not_hold_the_claim_is_false,
        (("and held.status = 'claimed' and", "and"),),
    ),
    "a release is looked for among all that its worker holds": Variant(
        claims.test_a_release_finds_its_claim_by_key_however_much_its_worker_holds,
        (("where c.{{name}}_id = p_{{name}}_id and c.work_type = p_work_type for update),",
          "where c.{{name}}_id = p_{{name}}_id and c.work_type = p_work_type and c.worker_id = p_worker_id and c.status = 'claimed' for update),"),),
    ),
    "ids are inserted in any order": Variant(
        claims.test_claims_that_overlap_take_their_ids_in_one_order_and_do_not_deadlock,
        (("                 order by w.id\n                on conflict", "                 order by w.id desc\n                on conflict"),),
    ),
    "two claims of one id are not told apart": Variant(
        claims.test_two_workers_at_once_share_ids_and_never_overlap,
        (("                 order by w.id\n                on conflict do nothing",
          "                 order by w.id\n                on conflict ({{name}}_id, work_type) do update set worker_id = excluded.worker_id"),),
    ),
    "ids are not joined to the table": Variant(
        claims.test_unknown_null_and_repeated_ids_are_passed_over,
        (("                select t.{{id}}, p_work_type, p_worker_id,", "                select w.id, p_work_type, p_worker_id,"),
         ("                  join {{table}} t on t.{{id}} = w.id\n                 where not exists",
          "                  left join {{table}} t on t.{{id}} = w.id\n                 where not exists")),
    ),
    "an empty array does not reap": Variant(
        claims.test_an_empty_array_reaps,
        (("    perform {{schema}}.{{name}}_claims_reap(p_work_type);\n    v_ids",
          "    if pg_catalog.cardinality(p_{{name}}_ids) > 0 then perform {{schema}}.{{name}}_claims_reap(p_work_type); end if;\n    v_ids"),),
    ),
    "choosing does not reap": Variant(
        claims.test_an_expired_claim_is_offered_when_it_is_the_only_work_left,
        (("    perform {{schema}}.{{name}}_claims_reap(p_work_type);\n    v_now", "    v_now"),),
    ),
    "reaping forgets the attempts": Variant(
        claims.test_attempts_survive_reaping_and_the_last_one_ends_failed,
        constants=(("TAKE", script.TAKE.replace("c.attempt_count + 1 end", "1 end")),),
    ),
    "reaping has no cap": Variant(
        claims.test_attempts_survive_reaping_and_the_last_one_ends_failed,
        (("case when c.attempt_count >= c.attempts_max then 'failed' else 'waiting' end", "'waiting'"),
         ("case when c.attempt_count >= c.attempts_max then null else v_now end", "v_now")),
    ),
    "what others choose from is not marked": Variant(
        claims.test_workers_choosing_at_once_neither_wait_nor_overlap,
        (("where pg_catalog.pg_try_advisory_xact_lock(v_class, pg_catalog.hashtext(s.id::text) & 1023)", "where true"),),
    ),
    "a walk does not begin anew": Variant(
        claims.test_finished_rows_never_hide_older_unclaimed_ones,
        (("exit when v_after is null or v_found or p_after_id is null;", "exit;"),),
    ),
    "a filter may name anything": Variant(
        claims.test_a_filter_is_values_of_columns_and_nothing_else,
        (("    if v_wrong is not null then", "    if false then"),),
    ),
    "a row that is deleted meanwhile fails the batch": Variant(
        claims.test_a_row_deleted_meanwhile_does_not_fail_the_batch,
        (("exception when foreign_key_violation or deadlock_detected then\n            if v_try", "exception when division_by_zero then\n            if v_try"),),
        arguments=(("call", "claim_thoughts(%s::uuid[], 'w', 'a') id"),),
    ),
    "the choice is not made again when a row is deleted": Variant(
        claims.test_a_row_deleted_meanwhile_does_not_fail_the_batch,
        (("exception when foreign_key_violation or deadlock_detected then  -- a row", "exception when division_by_zero then  -- a row"),),
        arguments=(("call", "claim_next_thoughts('w', 'a', 10)"),),
    ),
    "an edit is not looked for by id": Variant(
        claims.test_an_edit_after_success_opens_the_work_again, constants=(("EDITED", "false"),),
    ),
    "an edit is not looked for when choosing": Variant(
        claims.test_a_result_from_old_content_is_never_current,
        (("             where d.fingerprint <> d.was\n", "             where false\n"),),
    ),
    "a result counts as made from what is there when it ends": Variant(
        claims.test_a_result_from_old_content_is_never_current,
        (("coalesce(p_fingerprint, c.claimed_fingerprint) as fingerprint",
          "(select {{fingerprint}} from {{table}} t where t.{{id}} = p_{{name}}_id) as fingerprint"),),
    ),
    "a version is believed whatever content it has": Variant(
        claims.test_versions_of_rows_say_the_same_as_their_contents,
        (("(select p.version from present p where p.fingerprint = held.fingerprint)", "(select p.version from present p)"),),
        arguments=(("seed", 1),),
    ),
    "a version is the writing transaction alone": Variant(
        claims.test_versions_of_rows_say_the_same_as_their_contents,
        constants=(("VERSION", "case when t.xmin::text <> '' then '1' end"),),
        arguments=(("seed", 1),),
    ),
    "a version says nothing of its server": Variant(
        claims.test_a_version_of_another_server_means_nothing,
        constants=(("EDITED", "case when pg_catalog.split_part(c.row_version, ':', 4) = t.xmin::text then false else c.fingerprint <> {{fingerprint}} end"),),
        edits=(("       and case when c.row_version = {{version}} then false", "       and case when pg_catalog.split_part(c.row_version, ':', 4) = t.xmin::text then false"),),
    ),
    "every content is read when nothing is to be done": Variant(
        claims.test_looking_for_edits_reads_no_content_that_was_not_written_since,
        constants=(("EDITED", "c.fingerprint <> {{fingerprint}}"),),
    ),
    "unchanged content is not noted": Variant(
        claims.test_looking_for_edits_reads_no_content_that_was_not_written_since,
        (("             limit 10000 for update", "             limit 0 for update"),),
    ),
    "other tables than heaps have versions": Variant(
        claims.test_where_versions_mean_nothing_contents_are_compared, (("where a.amname <> 'heap'", "where false"),),
    ),
    "other content columns open every result": Variant(
        claims.test_a_result_stays_when_the_script_is_run_with_other_content_columns,
        (("    if v_before is null or", "    if true or"),),
    ),
    "content has the caller's spelling": Variant(
        claims.test_a_fingerprint_is_the_same_under_every_callers_settings,
        constants=(("SETTINGS", "set search_path = ''"),),
    ),
    "a renewal does not look at tokens": Variant(
        claims.test_a_renewal_is_for_its_workers_own_tokens, (("           and (p_tokens is null or c.token = any (p_tokens))\n", ""),),
    ),
    "a renewal does not look at the worker": Variant(
        claims.test_a_renewal_is_for_its_workers_own_tokens,
        (("where c.work_type = p_work_type and c.worker_id = p_worker_id and c.status = 'claimed'\n           and (p_tokens",
          "where c.work_type = p_work_type and c.status = 'claimed'\n           and (p_tokens"),),
    ),
    "a bulk release frees everybody's": Variant(
        claims.test_a_bulk_release_frees_only_its_workers_open_claims_of_that_work,
        (("where c.work_type = p_work_type and c.worker_id = p_worker_id and c.status = 'claimed'\n         order by c.{{name}}_id for update)\n    update {{claims}} c\n       set status = 'waiting'",
          "where c.work_type = p_work_type and c.status = 'claimed'\n         order by c.{{name}}_id for update)\n    update {{claims}} c\n       set status = 'waiting'"),),
    ),
    "what was given back is an attempt": Variant(
        claims.test_a_bulk_release_frees_only_its_workers_open_claims_of_that_work,
        (("retry_at = pg_catalog.clock_timestamp(), attempt_count = greatest(0, c.attempt_count - 1)", "retry_at = pg_catalog.clock_timestamp()"),),
    ),
    "an old snapshot may decide": Variant(
        claims.test_a_transaction_that_cannot_see_the_present_gets_a_retryable_error,
        (("not in ('read committed', 'read uncommitted')", "not in ('read committed', 'read uncommitted', 'repeatable read')"),),
        arguments=(("level", "repeatable read"),),
    ),
    "a json function is cut as well": Variant(
        http.test_more_than_a_thousand_claims_are_all_told_through_a_layer_that_cuts_rows,
        (("      from {{schema}}.renew_{{name}}_claims(p_work_type, p_worker_id, p_ttl_seconds, p_tokens) r\n",
          "      from (select * from {{schema}}.renew_{{name}}_claims(p_work_type, p_worker_id, p_ttl_seconds, p_tokens) limit 1000) r\n"),),
    ),
    "functions are left to outsiders": Variant(
        roles.test_outsiders_get_no_right_even_with_generous_defaults,
        (("            execute pg_catalog.format('revoke all on function %s from %s', v_function::regprocedure, v_role);\n", "            null;\n"),),
        arguments=(("before", "nothing"),),
    ),
    "the table is left to outsiders": Variant(
        roles.test_outsiders_get_no_right_even_with_generous_defaults,
        (("        execute pg_catalog.format('revoke all on table {{claims_in_format}}, {{view_in_format}} from %s', v_role);\n", ""),),
        arguments=(("before", "nothing"),),
    ),
    "the service role has no policy": Variant(
        roles.test_the_service_role_works_without_bypassing_row_security,
        (("        create policy {{name}}_work_claims_service on {{claims}} for all to service_role using (true) with check (true);\n", ""),),
    ),
    "row security is off": Variant(
        roles.test_every_function_pins_its_search_path_and_runs_as_its_caller,
        (("alter table {{claims}} enable row level security;\n", ""),),
    ),
    "a function runs as its owner": Variant(
        roles.test_every_function_pins_its_search_path_and_runs_as_its_caller,
        (("returns integer language plpgsql volatile security invoker set search_path = '' as", "returns integer language plpgsql volatile security definer set search_path = '' as"),),
    ),
}  # fmt: skip

NOTICED = (AssertionError, ValueError, psycopg.Error, pytest.fail.Exception)


@pytest.fixture
def run(request: pytest.FixtureRequest, databases) -> Callable[[Variant], None]:
    """Runs a scenario on a table of its own."""

    def go(variant: Variant) -> None:
        test = variant.caught_by
        names = test.__code__.co_varnames[: test.__code__.co_argcount]
        given = dict(variant.arguments)
        if "db" in names:
            with psycopg.connect(request.getfixturevalue("hosted"), autocommit=True) as db:
                empty(db, "owner")
                db.execute(THOUGHTS)
                db.execute("insert into thoughts (body) values ('one'), ('two')")
                test(**given, db=db)
            return
        with databases.clone(empty=True) as url:
            with psycopg.connect(url, autocommit=True) as db:  # a variant may deadlock a hundred times
                db.execute(f"alter database {db.info.dbname} set deadlock_timeout = '10ms'")
            table = Table(url)
            try:
                table.rows(THOUGHTS)
                if "bare" in names:
                    given["bare"] = table
                else:
                    table.rows(script.printed(CLAIMS))
                    given["table"] = table
                if "http" in names:
                    with serving(url) as address:
                        test(**given, http=http.Http(address))
                else:
                    test(**given)
            finally:
                table.db.close()

    return go


@pytest.mark.one_server
@pytest.mark.parametrize("name", VARIANTS)
def test_a_removed_guard_is_noticed(name: str, run, monkeypatch: pytest.MonkeyPatch):
    variant = VARIANTS[name]
    text = script.template("script")
    for before, after in variant.edits:
        assert before in text, f"the template no longer says {before!r}: mend the variant"
        text = text.replace(before, after)
    monkeypatch.setattr(
        script, "template", lambda which, whole=script.template: text if which == "script" else whole(which)
    )
    for constant, value in variant.constants:
        assert getattr(script, constant) != value
        monkeypatch.setattr(script, constant, value)
    with pytest.raises(NOTICED) as noticed:
        run(variant)
    slip = isinstance(noticed.value, psycopg.ProgrammingError) and noticed.value.sqlstate != "42501"
    assert not slip, f"the edit is no SQL, which shows nothing: {noticed.value}"


@pytest.mark.one_server
@pytest.mark.parametrize(
    "name", sorted({one.caught_by.__name__: name for name, one in VARIANTS.items()}.values()), ids=str
)
def test_the_scenario_passes_with_the_guard(name: str, run):
    """What fails without a guard must pass with it, or it shows nothing."""
    run(VARIANTS[name])
