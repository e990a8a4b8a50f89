"""Broken variants: each guard of the kernel is removed once, and a scenario of this suite must notice.

A variant is an edit of a function's own text, so it cannot drift from the function: when the text it looks for is gone,
the test fails and says so. The scenario is the very test that guards it, called with the broken database.
"""

# ruff: noqa: E501  (the edits quote the functions as they are)

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

import pytest
import test_adding
import test_bounds
import test_breakers
import test_checkpoints
import test_claim
import test_claims
import test_delayed
import test_finish
import test_groups
import test_holders
import test_hooks
import test_lock_order
import test_parameter_sets
import test_pauses
import test_prune
import test_runs
import test_seats
import test_successors
from psycopg import errors

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import QueueFull
from leasehold.testing.clock import Clock
from leasehold.testing.stories import Kernel


@dataclass(frozen=True)
class Variant:
    """In function *name*, each text of *edits* is replaced; *caught_by* must then fail."""

    name: str
    caught_by: object
    edits: tuple[tuple[str, str], ...]
    also: type[Exception] = AssertionError
    """What else may show it: a constraint that holds even without the guard, or the server's own refusal."""
    package: str = "leasehold.kernel"


VARIANTS = {
    "an event makes two calls of one hook": Variant(
        "tell",
        test_hooks.test_every_event_that_a_hook_names_makes_one_call_of_it,
        (("join leasehold.lane l on l.hook_id = h.hook_id;",
          "join leasehold.lane l on l.hook_id = h.hook_id cross join generate_series(1, 2);"),),
        errors.UniqueViolation,
    ),
    "a hook is called for every event": Variant(
        "tell",
        test_hooks.test_a_run_that_fails_is_told_once_a_round,
        ((" and e.name = any (h.events)", ""),),
    ),
    "a call counts in the group of its event": Variant(
        "end_runs",
        test_hooks.test_a_call_counts_in_no_group_and_raises_nothing,
        (("if v_group is null then\n            return;", "if v_group is null then\n            select c.group_id, 1, false into v_group, v_round, v_subscribed from leasehold.hook_call c where c.step_id = p_runs[1] * 1024;"),),
        errors.CheckViolation,
    ),
    "a call raises events of its own": Variant(
        "tell",
        test_hooks.test_a_call_counts_in_no_group_and_raises_nothing,
        (("o.step_id, 1, false\n", "o.step_id, 1, true\n"),),
    ),
    "starts of steps are told to whoever hears of runs": Variant(
        "tell_leased",
        test_hooks.test_step_events_are_written_only_where_somebody_subscribed,
        ((" and 'step_start' = any (l.subscribed)", ""),),
    ),
    "an error that is tried again is told as an end": Variant(
        "tell_steps",
        test_hooks.test_the_end_of_a_step_is_not_told_for_an_error_that_is_tried_again,
        (("u.ended in ('succeeded', 'failed', 'cancelled')", "true"),),
    ),
    "what follows from an end is told before it": Variant(
        "end_steps",
        test_hooks.test_the_start_of_a_step_that_a_finish_leases_at_once_is_told_after_the_end_before_it,
        (("    if v_subscribed then  --", "    if false then  --"),
         ("    perform leasehold.breaker_note(", "    perform leasehold.tell_steps(p_steps, p_lanes, p_attempts, v_ends, p_reasons);\n    perform leasehold.breaker_note(")),
    ),
    "a call that waits is made again too": Variant(
        "hook_retry",
        test_hooks.test_a_call_that_failed_is_made_again_under_its_key_and_once,
        ((" and x.ended = 'failed'", ""),),
        errors.UniqueViolation,
    ),
    "a call waits for those of other runs": Variant(
        "tell",
        test_hooks.test_every_event_that_a_hook_names_makes_one_call_of_it,
        (("(v_first + u.ord - 1) * 1024, u.hook_id, u.event_id, u.group_id, u.run_id", "(v_first + u.ord - 1) * 1024, u.hook_id, u.event_id, u.group_id, null"),),
    ),
    "finish does not check membership": Variant(
        "held_steps",
        test_finish.test_a_finish_names_only_steps_of_that_very_lease,
        (("on m.step_id = i.step_id and m.token = i.token", "on m.step_id = i.step_id"),
         ("where l.token = any (v_distinct))", "where true)")),
    ),
    "finish trusts what has no outcome yet": Variant(
        "held_steps",
        test_finish.test_a_finish_after_the_reap_is_lost_even_when_nobody_has_claimed_again,
        (("join member m on m.step_id = i.step_id and m.token = i.token",
          "join lateral (select i.token, i.step_id, 1::smallint as attempt, t.lane_id from leasehold.step t "
          "where t.step_id = i.step_id and not exists (select from leasehold.outcome o where o.step_id = i.step_id)) m "
          "on true"),),
    ),
    "finish reads the lease without locking it": Variant(
        "held_steps",
        test_finish.test_a_finish_that_waits_for_a_reap_is_lost,
        (("where l.token = any (v_distinct) order by l.token for no key update;", "where false;"),),
    ),
    "what was recorded is not looked up": Variant(
        "finish",
        test_finish.test_a_finish_whose_reply_was_lost_on_a_partial_page_is_sent_again_and_nothing_is_doubled,
        (("then 'already accepted' else 'lost' end", "then 'lost' else 'lost' end"),),
    ),
    "a late word is not counted": Variant(
        "finish",
        test_finish.test_a_finish_under_a_wrong_token_is_lost_and_counted_and_changes_nothing,
        ((" group by u.token;", " group by u.token having false;"),),
    ),
    "leases are not shrunk": Variant(
        "shrink_leases",
        test_finish.test_a_partial_finish_leaves_the_rest_leased,
        (("where s.step_id not in (select g.step_id from unnest(p_steps) g(step_id)))", "where true)"),),
    ),
    "a join is counted down before it is released": Variant(
        "end_steps",
        test_finish.test_a_join_becomes_ready_when_its_last_parent_has_succeeded,
        (("        with freed as (", "        update leasehold.blocked b set parents_left = b.parents_left - c.n\n"
          "          from unnest(v_children, v_parents) c(step_id, n)\n"
          "         where b.step_id = c.step_id and b.parents_left > c.n;\n        with freed as ("),),
    ),
    "two parents read the count without a lock": Variant(
        "end_steps",
        test_finish.test_two_parents_that_finish_together_release_their_child_exactly_once,
        (("perform leasehold.lock_runs(v_touched, v_ending, v_children);",
          "perform leasehold.lock_runs(v_touched, v_ending, null);"),),
    ),
    "runs are not locked before a step goes back": Variant(
        "lock_runs",
        test_finish.test_a_step_does_not_come_to_wait_in_a_run_that_is_failing_at_that_moment,
        (("if cardinality(p_runs) > 0 then", "if false then"),),
    ),
    "a failing run's waiting steps are not swept": Variant(
        "end_runs",
        test_finish.test_a_failed_step_cancels_what_waits_in_its_run_and_its_leased_sibling_releases_nothing,
        (("perform leasehold.sweep_runs(v_broken, 'run ended');", "null;"),),
    ),
    "a run that has ended is counted again": Variant(
        "end_runs",
        test_finish.test_a_run_that_has_ended_is_not_counted_or_told_again,
        (("from ended e having count(*) > 0)", "from unnest(p_ends) e(ended) having count(*) > 0)"),),
    ),
    "a run that has ended is told again, among several groups": Variant(
        "end_runs",
        test_finish.test_a_run_that_has_ended_is_not_counted_or_told_again_among_several_groups,
        (("from ended e join given g on g.run_id = e.run_id)", "from given g)"),),
    ),
    "a sweep steps over what is being promoted": Variant(
        "sweep_runs",
        test_finish.test_a_step_that_is_being_promoted_while_its_run_fails_is_cancelled,
        (("order by d.step_id for update of d)", "order by d.step_id for update of d skip locked)"),),
    ),
    "blocked steps are locked in two passes": Variant(
        "end_steps",
        test_lock_order.test_two_pages_with_success_and_failure_of_two_runs_crosswise_do_not_deadlock,
        (("perform leasehold.lock_runs(v_touched, v_ending, v_children);",
          "perform leasehold.lock_runs(v_touched, null, v_children); perform leasehold.lock_runs(null, v_ending, null);"),),
        errors.DeadlockDetected,
    ),
    "a claim forgets its number": Variant(
        "claim",
        test_claim.test_a_claim_sent_again_under_its_number_returns_the_same_lease_and_takes_nothing,
        (("if p_claim_no <= v_holder.claim_no then", "if false then"),
         ("(token, holder_id, claim_no, lane_id, kind, alone, claimed_at, deadline, step_ids, attempts)\n        select v_token, p_holder_id, p_claim_no, l.lane_id, l.kind, false",
          "(token, holder_id, claim_no, lane_id, kind, alone, claimed_at, deadline, step_ids, attempts)\n        select v_token, p_holder_id, v_token, l.lane_id, l.kind, false")),
    ),
    "a claim does not heed its hint": Variant(
        "claim",
        test_claim.test_a_claim_takes_only_what_stands_behind_its_hint,
        (("and not c.alone and c.position > p_hints[i]", "and not c.alone"),),
    ),
    "what a seat covers is changed while one is taken": Variant(
        "limit_set",
        test_seats.test_what_a_seat_covers_is_not_changed_while_one_is_taken,
        (("if p_per <> v_per and taken > 0 then", "if false then"),),
    ),
    "a deadline waits for a finish": Variant(
        "expire_leases",
        test_holders.test_a_lease_past_its_deadline_that_is_being_finished_is_left_to_its_finish,
        (("order by l.token limit p_limit for update skip locked", "order by l.token limit p_limit for update nowait"),),
        errors.LockNotAvailable,
    ),
    "who was reaped leaves once more": Variant(
        "holder_leave",
        test_holders.test_leaving_does_not_hide_that_one_was_reaped,
        (("where h.holder_id = p_holder_id and h.ended_at is null for update;", "where h.holder_id = p_holder_id for update;"),),
    ),
    "claims of one holder run at once": Variant(
        "claim",
        test_claim.test_a_claim_and_its_twin_at_once_take_one_page,
        (("where h.holder_id = p_holder_id for no key update;", "where h.holder_id = p_holder_id;"),),
        errors.UniqueViolation,
    ),
    "a claim waits for locked steps": Variant(
        "claim",
        test_claim.test_of_two_claims_on_one_step_one_wins_and_the_loser_does_not_wait,
        (("order by c.position limit v_limit for update skip locked", "order by c.position limit v_limit for update nowait"),),
        errors.LockNotAvailable,
    ),
    "an empty claim's number stays open": Variant(
        "claim",
        test_claim.test_a_number_that_brought_nothing_is_used_up_by_sending_it_without_lanes,
        (("    if p_lanes = '{}' then\n        update leasehold.holder h set claim_no = p_claim_no where h.holder_id = p_holder_id;\n",
          "    if p_lanes = '{}' then\n"),),
    ),
    "an ended holder may claim": Variant(
        "claim",
        test_holders.test_a_claim_that_waits_for_a_reap_of_its_holder_gets_nothing,
        (("if v_holder.ended_at is not null or v_holder.holder_id is null then", "if v_holder.holder_id is null then"),),
    ),
    "others join a step that is leased alone": Variant(
        "claim",
        test_claim.test_nothing_joins_a_holder_that_holds_a_step_alone,
        (("where l.holder_id = p_holder_id and l.alone) then", "where false) then"),),
    ),
    "a reaper does not look again under the lock": Variant(
        "reap",
        test_holders.test_a_reaper_does_not_take_a_holder_that_is_being_renewed,
        (("order by h.holder_id limit p_limit for update skip locked);",
          "order by h.holder_id limit p_limit);\n    perform from leasehold.holder h where h.holder_id = any (v_holders) for update;"),
         ("and h.ended_at is null and h.expires_at < v_now);", ");")),
    ),
    "who waits for a seat reaps whoever has it": Variant(
        "reap_holders",
        test_holders.test_who_waits_for_a_holders_seat_reaps_that_holder_and_nobody_else,
        (("and h.ended_at is null and h.expires_at < v_now", "and h.ended_at is null"),),
    ),
    "a reaper reaps itself": Variant(
        "reap",
        test_holders.test_a_reaper_never_reaps_itself_however_old_its_heartbeat,
        (("and h.holder_id <> all (p_callers)", ""),),
    ),
    "the first one back after an outage reaps everybody": Variant(
        "reap",
        test_holders.test_nobody_is_reaped_before_the_server_has_run_for_a_ttl,
        (("and pg_postmaster_start_time() + h.ttl < v_now", ""),),
    ),
    "who waits for a seat reaps everybody after an outage": Variant(
        "reap_holders",
        test_holders.test_nobody_is_reaped_before_the_server_has_run_for_a_ttl,
        (("           and pg_postmaster_start_time() + h.ttl < v_now);", ");"),),
    ),
    "a heartbeat revives the dead": Variant(
        "holder_heartbeat",
        test_holders.test_a_reaped_holder_never_comes_back,
        (("where h.holder_id = any (p_holder_ids) and h.ended_at is null\n", "where h.holder_id = any (p_holder_ids)\n"),),
    ),
    "everybody is blamed": Variant(
        "end_holders",
        test_holders.test_of_many_steps_none_is_charged_and_each_goes_alone,
        (("case when p_blamed is null then count(*) over (partition by l.holder_id) = 1", "case when p_blamed is null then true"),),
    ),
    "suspects go back into company": Variant(
        "end_holders",
        test_holders.test_a_step_that_kills_its_process_ends_failed_and_takes_no_neighbour_along,
        (("array_agg(h.alone or p_blamed is null and (p_suspects is null or h.step_id = any (p_suspects))\n"
          "                     order by h.step_id) as alone", "array_agg(false order by h.step_id) as alone"),),
    ),
    "a reaped step's end is written under the old token": Variant(
        "end_holders",
        test_finish.test_a_finish_after_the_reap_is_lost_and_leaves_the_successor_its_lease,
        (("array_agg(nextval('leasehold.token_seq'))", "array_agg(currval('leasehold.token_seq'))"),),
    ),
    "completion is counted and then inserted": Variant(
        "group_fold",
        test_groups.test_eight_sessions_that_end_the_last_eight_runs_together_complete_the_group_exactly_once,
        (("perform from leasehold.run_group g where g.group_id = p_group_id for no key update skip locked;",
          "perform from leasehold.run_group g where g.group_id = p_group_id;"),
         ("v_group.failed, v_group.cancelled, v_ended);", "v_group.failed, v_group.cancelled, v_ended)\n    on conflict do nothing;"),
         ("if v_group.sealed_at is null or v_group.completed_at is not null\n       or", "if v_group.sealed_at is null or")),
    ),
    "a group completes before it is sealed": Variant(
        "group_fold",
        test_groups.test_a_group_completes_when_it_is_sealed_and_all_its_runs_have_ended,
        (("if v_group.sealed_at is null or v_group.completed_at", "if v_group.completed_at"),),
    ),
    "a completion does not count failures": Variant(
        "group_fold",
        test_groups.test_a_cancelled_round_says_so_and_a_retried_one_counts_anew,
        (("then 'failed' else 'succeeded' end;", "then 'succeeded' else 'succeeded' end;"),),
    ),
    "a key whose group has ended swallows the request": Variant(
        "group_open",
        test_groups.test_a_key_whose_group_has_ended_does_not_swallow_a_new_request,
        (("elsif coalesce(v_known.completed_at, v_known.cancelled_at) is not null then", "elsif false then"),),
    ),
    "a cancel of a run does not wait for a claim": Variant(
        "run_cancel",
        test_runs.test_a_cancel_waits_for_a_claim_that_is_under_way_and_takes_its_step,
        (("order by y.step_id for update of y;", "order by y.step_id;"),),
    ),
    "a cancel of a run leaves what is leased": Variant(
        "run_cancel",
        test_runs.test_a_cancelled_run_ends_at_once_wherever_it_stands_and_its_neighbours_go_on,
        (("where l.token = any (v_tokens) and s.step_id >> 10 = any (p_runs);", "where false;"),),
    ),
    "a holder is not told which of its steps was cancelled": Variant(
        "run_cancel",
        test_runs.test_the_next_heartbeat_names_a_cancelled_step_whose_lease_goes_on,
        (("set cancelled = l.cancelled || array(", "set cancelled = '{}'::bigint[] || array(select x from unnest('{}'::bigint[]) x where false and exists ("),
         ("where h.token = l.token)", "where h.token = l.token))"),),
    ),
    "a step comes to wait in a run that is failing, because somebody puts it off": Variant(
        "run_put_off",
        test_runs.test_a_run_that_fails_while_it_is_put_off_keeps_nothing_waiting,
        (("perform leasehold.lock_runs(p_runs, null, null);", "null;"),),
    ),
    "who puts off waits for a claim under way": Variant(
        "run_put_off",
        test_runs.test_who_puts_off_does_not_wait_for_a_claim_under_way,
        (("order by y.step_id for update of y skip locked)", "order by y.step_id for update of y)"),),
    ),
    "two adds both take the last place": Variant(
        "check_bounds",
        test_bounds.test_two_adds_at_once_do_not_both_take_the_last_place,
        (("order by b.what, b.name for update\n", "order by b.what, b.name\n"),),
    ),
    "what has ended is still open": Variant(
        "open_runs",
        test_bounds.test_what_is_full_refuses_more_and_takes_it_again_when_some_have_ended,
        (("- g.cancelled - d.ended)", "- g.cancelled)"),),
        QueueFull,
    ),
    "every failure is a strike": Variant(
        "breaker_count",
        test_breakers.test_concurrent_failures_are_no_strikes,
        (("continue when v_probe is null;", "v_probe := coalesce(v_probe, 'error');"),
         ("where u.step_id = v_breaker.probe_step;", "limit 1;")),
    ),
    "a probe that never reports stays latched": Variant(
        "claim_probe",
        test_breakers.test_a_probe_that_does_not_report_leaves_nothing_latched,
        (("or exists (select from leasehold.lease e where e.token = v_breaker.probe_token) then",
          "or v_breaker.probe_token is not null then"),),
    ),
    "two probes at a time": Variant(
        "claim_probe",
        test_breakers.test_a_claim_for_a_probe_that_waits_for_another_one_takes_nothing,
        (("and b.opened_at is not null for update of b;", "and b.opened_at is not null;"),),
    ),
    "a breaker that cannot be written hides how a step ended": Variant(
        "breaker_note",
        test_breakers.test_a_breaker_that_cannot_be_written_does_not_hide_how_a_step_ended,
        (("exception when others then", "exception when division_by_zero then"),),
        errors.CheckViolation,
    ),
    "a failure for good opens the breaker": Variant(
        "breaker_count",
        test_breakers.test_what_says_nothing_about_the_kind_neither_counts_nor_breaks_the_row,
        (("where o.ended = 'error')", "where o.ended in ('error', 'failed'))"),
         ("bool_or(u.ended = 'error') as errs", "bool_or(u.ended in ('error', 'failed')) as errs")),
    ),
    "a pause outlasts its time": Variant(
        "pause",
        test_pauses.test_a_pause_ends_by_itself_at_its_time,
        (("coalesce(p_until, v_now + make_interval(secs => p_for_s), 'infinity')", "'infinity'"),),
    ),
    "a cancel is not swept": Variant(
        "sweep_cancelled",
        test_groups.test_a_cancel_ends_what_waits_and_what_is_leased_and_refuses_late_words,
        (("if cardinality(v_groups) = 0 then", "if true then"),),
    ),
    "a retry looks at leases only": Variant(
        "group_retry",
        test_groups.test_a_retry_leaves_a_run_whose_sibling_is_still_leased_to_the_next_retry,
        (("having bool_and(coalesce(l.ended in ('succeeded', 'failed', 'cancelled'), false))", "having true"),),
    ),
    "a page is added twice": Variant(
        "group_add",
        test_groups.test_a_page_that_is_added_again_after_a_lost_reply_is_there_once,
        (("and s.page = p_page;", "and false;"), ("v_first + v_n - 1, p_page);", "v_first + v_n - 1, null);")),
    ),
    "run ids are drawn without a lock": Variant(
        "draw_runs",
        test_adding.test_the_ids_of_a_page_follow_without_a_gap_whoever_draws_meanwhile,
        (("perform pg_advisory_xact_lock(hashtextextended('leasehold.run_seq', 0));", ""),),
    ),
    "the lock on run ids is held until the commit": Variant(
        "draw_runs",
        test_adding.test_adding_to_one_group_does_not_wait_for_a_transaction_that_adds_to_another,
        (("        raise exception using errcode = 'LX001', message = 'drawn';\n", "        return v_first;\n"),),
    ),
    "a finish locks its leases before its holder": Variant(
        "finish_and_lease",
        test_successors.test_a_finish_takes_its_holder_before_its_leases_as_a_reaper_does,
        (("from leasehold.holder h where h.holder_id = v_holder for key share;", "from leasehold.holder h where h.holder_id = v_holder;"),),
        errors.DeadlockDetected,
    ),
    "a finish sent again forgets its successors": Variant(
        "finish_and_lease",
        test_successors.test_a_finish_sent_again_answers_with_the_same_leases_and_makes_no_others,
        (("l.claim_no = -(p_next ->> 'number')::bigint", "l.claim_no = -(p_next ->> 'number')::bigint and l.xmin::text = pg_current_xact_id()::text"),),
    ),
    "more is leased than there is room for": Variant(
        "lease_successors",
        test_successors.test_no_more_is_leased_than_the_pool_has_room_for_and_a_lease_may_cover,
        (("limit least(v_rooms[v_pool], (v.terms ->> 1)::integer)", "limit 500"),),
    ),
    "each kind of a pool has all of its room": Variant(
        "lease_successors",
        test_successors.test_kinds_of_one_pool_share_its_room,
        (("v_rooms[v_pool] := v_rooms[v_pool] - cardinality(v_mine);", ""),),
    ),
    "a finish passes a kind's share": Variant(
        "lease_successors",
        test_successors.test_a_successor_that_needs_a_seat_becomes_ready_and_is_claimed_with_one,
        ((" and not exists (select from leasehold.resource r where r.key = 'kind:' || l.kind)", ""),),
    ),
    "a finish passes a lock": Variant(
        "lease_successors",
        test_successors.test_a_successor_that_needs_a_seat_becomes_ready_and_is_claimed_with_one,
        (("and l.key is null and", "and"),),
    ),
    "a successor is leased and made ready": Variant(
        "end_steps",
        test_successors.test_a_finish_leases_what_it_released_to_its_own_holder,
        (("where not exists (select from unnest(v_leased) x(step_id) where x.step_id = u.step_id)", "where true"),),
    ),
    "an item claim is judged by an old snapshot": Variant(
        "claim_items",
        test_claims.test_a_claim_that_waited_does_not_steal_from_a_lease_that_came_in_between,
        (("on conflict (work, key) do nothing;",
          "on conflict (work, key) do update set token = excluded.token\n"
          "     where not exists (select from leasehold.lease l where l.token = claim.token);"),),
    ),
    "a checkpoint asks nobody": Variant(
        "checkpoint_save",
        test_checkpoints.test_a_late_checkpoint_is_refused_and_counted,
        (("from leasehold.held_steps(array[p_token], array[p_step]) h) is null then", "from leasehold.held_steps(array[p_token], array[p_step]) h) is null and false then"),),
    ),
    "a checkpoint does not wait for the end of its lease": Variant(
        "held_steps",
        test_checkpoints.test_a_checkpoint_that_meets_the_end_of_its_lease_is_refused,
        (("where l.token = any (v_distinct) order by l.token for no key update;", "where false;"),),
    ),
    "a set is forgotten beside a group that is being opened with it": Variant(
        "parameter_set_forget",
        test_parameter_sets.test_a_group_that_is_opened_while_its_set_is_forgotten_keeps_it,
        (("where s.set_id = v_set_id for update;", "where s.set_id = v_set_id;"),),
        errors.ForeignKeyViolation,
        "leasehold.workflows",
    ),
    "a set in use is forgotten": Variant(
        "parameter_set_forget",
        test_parameter_sets.test_a_set_in_use_cannot_be_forgotten_and_its_group_keeps_it_afterwards,
        (("if v_open is not null then", "if false then"),),
        package="leasehold.workflows",
    ),
    "a set that another stores at the same time is stored twice": Variant(
        "parameter_set_register",
        test_parameter_sets.test_a_set_that_is_being_stored_by_another_is_waited_for_and_found,
        (("on conflict (digest) do nothing\n", ""), ("on conflict (config) do nothing;", ";")),
        errors.UniqueViolation,
        "leasehold.workflows",
    ),
    "a snooze counts as an attempt": Variant(
        "end_steps",
        test_delayed.test_a_snooze_is_not_an_attempt,
        (("case when u.ended = 'error' then u.attempt + 1 else u.attempt end", "u.attempt + 1"),),
    ),
    "the backoff has no cap": Variant(
        "end_steps",
        test_delayed.test_the_backoff_doubles_with_each_attempt_up_to_its_cap_with_jitter_below,
        (("least(w.backoff_max_s::double precision,", "greatest(0.0,"),),
    ),
    "seats are counted, not locked": Variant(
        "lane_seats",
        test_seats.test_of_two_claims_for_one_seat_at_once_one_wins_and_the_loser_does_not_wait,
        (("limit case when v.per = 'page' then 1 else n end for update skip locked);", "limit case when v.per = 'page' then 1 else n end);"),),
        errors.LockNotAvailable,
    ),
    "a claim does not look at a seat again": Variant(
        "lane_seats",
        test_seats.test_a_claim_looks_at_a_seat_again_when_it_has_locked_it,
        (("where s.key = v.key and s.ix = any (v_free) and s.holder_id is null", "where s.key = v.key and s.ix = any (v_free)"),),
    ),
    "a claim waits for a seat": Variant(
        "lane_seats",
        test_seats.test_of_two_claims_for_one_seat_at_once_one_wins_and_the_loser_does_not_wait,
        (("then 1 else n end for update skip locked);", "then 1 else n end for update nowait);"),),
        errors.LockNotAvailable,
    ),
    "a kind's share is one seat a page": Variant(
        "lane_seats",
        test_seats.test_a_kinds_share_holds_over_all_workers_and_a_step_that_ends_makes_room,
        (("        if v.per = 'step' then\n            n := cardinality(v_free);\n        end if;\n", ""),),
    ),
    "a lane without a seat is asked all the same": Variant(
        "claim",
        test_seats.test_two_leases_behind_one_key_never_overlap_and_behind_two_they_do,
        (("continue when v_limit = 0;", "v_limit := p_limits[i];"),),
        errors.NullValueNotAllowed,
    ),
    "a finished lease keeps its seat": Variant(
        "shrink_leases",
        test_seats.test_one_seat_covers_the_page_taken_under_it_and_comes_back_with_its_last_step,
        (("perform leasehold.seats_of_leases_back(p_tokens);", "null;"),),
    ),
    "a smaller lease keeps its surplus": Variant(
        "seats_of_leases_back",
        test_seats.test_a_kinds_share_holds_over_all_workers_and_a_step_that_ends_makes_room,
        (("else cardinality(l.step_ids) end as needed", "else 500 end as needed"),),
    ),
    "a dead holder keeps its seats": Variant(
        "end_holders",
        test_seats.test_every_way_a_lease_ends_gives_its_seat_back,
        (("perform leasehold.seats_of_holders_back(p_holder_ids);", "null;"),),
    ),
    "an expired lease keeps its seat": Variant(
        "expire_leases",
        test_seats.test_every_way_a_lease_ends_gives_its_seat_back,
        (("perform leasehold.seats_of_leases_back(v_tokens);", "null;"),),
    ),
    "a swept lease keeps its seat": Variant(
        "sweep_cancelled",
        test_seats.test_a_cancelled_group_with_a_running_step_leaves_no_orphan_seat,
        (("perform leasehold.seats_of_leases_back(v_tokens);", "null;"),),
    ),
    "a heartbeat does not say that its worker is drained": Variant(
        "holder_heartbeat",
        test_holders.test_a_drained_worker_is_told_with_its_heartbeat_until_it_is_resumed,
        (("           k.drain\n", "           null::text\n"),),
    ),
    "whoever holds something is drained": Variant(
        "holder_drain",
        test_holders.test_nobody_but_a_living_worker_is_drained,
        (("and h.kind = 'worker' and h.ended_at is null", ""),),
    ),
    "who is in line keeps its place after its end": Variant(
        "seats_of_holders_back",
        test_seats.test_an_ended_holder_takes_nothing_and_keeps_no_place_in_line,
        (("delete from leasehold.seat_line w where w.holder_id = any (p_holder_ids);", "null;"),),
    ),
    "an ended holder may take a seat": Variant(
        "seat_take",
        test_seats.test_a_take_that_meets_the_end_of_its_holder_gets_nothing,
        (("and h.ended_at is null for no key update;", "and h.ended_at is null;"),),
    ),
    "a seat keeps the token of its last holder": Variant(
        "seat_take",
        test_seats.test_the_seats_token_is_the_leases_and_the_tokens_of_a_resource_only_rise,
        (("token := nextval('leasehold.token_seq');", "select s.token into token from leasehold.seat s where s.key = p_key and s.ix = v_ix;"),),
    ),
    "the line has no order": Variant(
        "seat_take",
        test_seats.test_the_line_is_served_in_its_order,
        (("if cardinality(v_free) > v_ahead then", "if cardinality(v_free) > 0 then"),),
    ),
    "steps do not heed the line": Variant(
        "seats_free",
        test_seats.test_a_maintenance_job_is_not_starved_by_a_stream_of_steps,
        (("    if p_leases then\n", "    if p_leases then\n        return array(select s.ix from leasehold.seat s where s.key = p_key and s.holder_id is null);\n"),),
    ),
    "the line does not heed steps": Variant(
        "seats_free",
        test_seats.test_a_stream_of_lock_takers_does_not_starve_steps,
        (("v_kept := 2147483647;", "v_kept := 0;"),),
    ),
    "a seat is kept for who never comes": Variant(
        "seats_free",
        test_seats.test_a_side_that_does_not_come_costs_the_other_no_more_than_seconds,
        (("c_kept constant interval := '5 seconds';", "c_kept constant interval := '5 hours';"),),
    ),
    "a paused resource gives seats": Variant(
        "seats_free",
        test_seats.test_a_paused_resource_gives_no_seat_to_anybody_until_its_time,
        (("p.name = p_key and p.until > v_now) then", "p.name = p_key and false) then"),),
    ),
    "what comes back to a smaller limit is free again": Variant(
        "free_seats",
        test_seats.test_growing_gives_seats_at_once_and_shrinking_takes_them_as_they_come_back,
        (("s.key = r.key and s.ix > r.seats\n", "s.key = r.key and false\n"),),
    ),
    "a limit is resized without locking its seats": Variant(
        "limit_set",
        test_seats.test_a_seat_that_is_coming_back_while_the_limit_shrinks_is_not_left_above_it,
        (("where s.key = p_key order by s.ix for update;", "where false;"),),
    ),
    "a break does not look at the heartbeat under a lock": Variant(
        "seat_break",
        test_seats.test_a_break_that_waits_for_a_heartbeat_spares_its_holder,
        (("order by h.holder_id for no key update;", "order by h.holder_id;"),),
    ),
    "a break leaves the lease": Variant(
        "seat_break",
        test_seats.test_a_broken_seat_takes_its_lease_with_it_uncharged_and_the_late_finish_is_refused,
        (("delete from leasehold.lease l where l.token = any (v_gone);", "null;"),
         ("if v_steps.ids is not null then", "if false then")),
    ),
    "a broken seat keeps its token": Variant(
        "seat_break",
        test_seats.test_ones_own_lock_is_broken_like_anybodys,
        (("perform leasehold.free_seats(v_keys, v_ixs, false);", "perform leasehold.free_seats(v_keys, v_ixs, true);"),),
    ),
    "a break is not written down": Variant(
        "seat_break",
        test_seats.test_only_the_last_heartbeat_decides_whether_a_lock_may_be_broken,
        (("     where u.token = any (v_gone);\n    delete", "     where false;\n    delete"),),
    ),
    "a confirmed seat may be taken away": Variant(
        "seat_confirm",
        test_seats.test_a_write_under_a_lost_seat_is_refused_and_counted_and_one_under_a_held_seat_is_safe,
        (("s.holder_id = p_holder_id for share;", "s.holder_id = p_holder_id;"),),
    ),
    "a lease's seat is given back by hand": Variant(
        "seat_give_back",
        test_seats.test_a_seat_that_serves_a_lease_comes_back_with_that_and_not_by_hand,
        (("and s.token = p_token and not s.leased for update", "and s.token = p_token for update"),),
    ),
    "a heartbeat does not name seats": Variant(
        "holder_heartbeat",
        test_seats.test_a_heartbeat_keeps_a_seat_over_many_ttls_and_names_it,
        (("where s.holder_id = k.holder_id and not s.leased", "where false"),),
    ),
}  # fmt: skip

VARIANTS |= {
    "a prune does not look again under its lock": Variant(
        "prune_swap",
        test_prune.test_a_retry_that_commits_while_a_prune_waits_is_seen,
        (("where not exists (select from pruning_kept x where x.run_id = l.run_id and x.live))", "where false)"),),
    ),
    "a prune does not ask whether a kept group had a round meanwhile": Variant(
        "prune_swap",
        test_prune.test_a_kept_run_that_was_retried_and_has_ended_again_meanwhile_keeps_its_new_end,
        (("where g.round <> p.round)", "where false)"),),
    ),
    "a prune overlooks who is still adding to its range": Variant(
        "prune_range",
        test_prune.test_a_run_that_was_being_added_when_its_range_was_closed_is_not_lost,
        (("and k.granted and k.pid <> pg_backend_pid()", "and k.granted and false"),),
        Exception,
    ),
    "a prune takes what a lease still has": Variant(
        "range_runs",
        test_prune.test_a_failed_run_stays_while_a_sibling_of_the_failed_step_is_leased,
        (
            (
                "r.ended is not null and s.run_id is null and n.run_id is null",
                "r.ended is not null and n.run_id is null",
            ),
        ),
        Exception,
    ),
    "a prune takes the range that is being filled": Variant(
        "prune_range",
        test_prune.test_the_range_that_is_being_filled_is_left_alone,
        (("+ 1 then\n        verdict := 'current'", "+ 1 and false then\n        verdict := 'current'"),),
    ),
    "a pruned group takes more runs": Variant(
        "group_add",
        test_prune.test_nothing_is_added_to_a_group_that_was_pruned,
        (("if exists (select from leasehold.group_pruned p where p.group_id = p_group_id) then", "if false then"),),
    ),
    "folding makes no range of events ahead": Variant(
        "fold_all",
        test_prune.test_events_always_have_a_range_ahead,
        (("    perform leasehold.ensure_events();\n", ""),),
    ),
}

NOTICED = (AssertionError, pytest.fail.Exception)
ARGUMENTS = {
    "test_a_step_does_not_come_to_wait_in_a_run_that_is_failing_at_that_moment": {"how": "release"},
    "test_only_the_last_heartbeat_decides_whether_a_lock_may_be_broken": {
        "how": "safe",
        "age": "expired",
        "host": "here",
        "pid": "living pid",
    },
    "test_a_key_whose_group_has_ended_does_not_swallow_a_new_request": {"how": "ended"},
    "test_a_probe_that_does_not_report_leaves_nothing_latched": {"lost": "released"},
    "test_what_says_nothing_about_the_kind_neither_counts_nor_breaks_the_row": {"ended": "failed"},
    "test_what_is_full_refuses_more_and_takes_it_again_when_some_have_ended": {"what": "source"},
    "test_a_breaker_that_cannot_be_written_does_not_hide_how_a_step_ended": {"warnings": ["any"]},
}


@contextmanager
def scenario(databases, broken=None):
    """Run a test function of this suite in a database of its own, with a broken function or without."""
    with databases.clone() as url, Session(Target(url=url)) as session:
        if broken is not None:
            session.connection.execute(broken)

        def run(test):
            kernel = Kernel(session)
            names = test.__code__.co_varnames[: test.__code__.co_argcount]
            given = {"kernel": kernel, "database": url, "session": session}
            if "clock" in names:
                given["clock"] = Clock(session).hold()
            given |= ARGUMENTS.get(test.__name__, {})
            test(**{name: given[name] for name in names})
            kernel.check()

        yield run


def broken_text(variant):
    text = (files(variant.package) / "sql" / f"{variant.name}.sql").read_text("utf-8")
    for before, after in variant.edits:
        if before != after:
            assert before in text, f"{variant.name} no longer says {before!r}: mend the variant"
            text = text.replace(before, after)
    return text


@pytest.mark.parametrize("name", VARIANTS)
def test_a_kernel_without_this_guard_is_noticed(databases, name):
    variant = VARIANTS[name]
    with scenario(databases, broken_text(variant)) as run, pytest.raises((*NOTICED, variant.also)):
        run(variant.caught_by)
