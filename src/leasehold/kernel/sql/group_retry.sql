-- group_retry: open a new round for the failed runs of a group; what succeeded is not run again.
--
-- p_reasons and p_fingerprints restrict it to runs whose failed step gave one of these reasons, or has one of these
-- fingerprints, p_runs to these runs (null: all). A run of which a sibling of the failed step is still leased waits for
-- the next retry: its end would count in the wrong round.
--
-- Returns  how many runs were reopened.
-- Cost     one pass over the failed runs and their steps.
-- Blocks   leases of the group's lanes in token order, then adding, sealing and folding of the group.
-- Fencing  reopened steps get an outcome under a new token, attempt 1 and a new position: every clock starts again.
create or replace function leasehold.group_retry(
    p_group_id bigint, p_reasons text[], p_runs bigint[], p_fingerprints text[] default null)
returns bigint language plpgsql set jit = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_group leasehold.run_group;
    v_runs bigint[];
    v_n bigint;
begin
    perform from leasehold.lease l
      where l.lane_id in (select n.lane_id from leasehold.lane n where n.group_id = p_group_id)
      order by l.token for no key update;
    select * into v_group from leasehold.run_group g where g.group_id = p_group_id for update;
    if not found then
        raise exception using errcode = 'LS004', message = format('there is no group %s', p_group_id);
    end if;
    if v_group.cancelled_at is not null then
        raise exception using errcode = 'LS005', message = format('group %s was cancelled', p_group_id),
            hint = 'Open a new group.';
    end if;
    -- Only runs in which every step has ended: what is leased, or is being claimed or finished right now, has not.
    with failed as materialized (
        select o.run_id from leasehold.group_span s
          join leasehold.run_outcome o on o.run_id between s.first_run and s.last_run
         where s.group_id = p_group_id and o.ended = 'failed' and not o.reopened
           and (p_runs is null or o.run_id = any (p_runs))),
    last as (
        select distinct on (t.step_id) t.step_id, o.ended, o.reason, o.detail
          from failed f
          join leasehold.step t on t.step_id >= f.run_id * 1024 and t.step_id < (f.run_id + 1) * 1024
          left join leasehold.outcome o on o.step_id = t.step_id
         order by t.step_id, o.token desc)
    select array_agg(r.run_id order by r.run_id) into v_runs
      from (select l.step_id >> 10 as run_id from last l group by 1
            having bool_and(coalesce(l.ended in ('succeeded', 'failed', 'cancelled'), false))
               and (p_reasons is null or bool_or(l.ended = 'failed' and l.reason = any (p_reasons)))
               and (p_fingerprints is null
                    or bool_or(l.ended = 'failed' and leasehold.fingerprint(l.reason, l.detail) = any (p_fingerprints)))) r;
    if v_runs is null then
        return 0;
    end if;
    perform leasehold.group_fold(p_group_id);  -- after the look: what it saw has been counted
    v_n := cardinality(v_runs);
    update leasehold.run_outcome o set reopened = true
      from unnest(v_runs) r(run_id) where o.run_id = r.run_id and not o.reopened;
    update leasehold.run_group g
       set failed = g.failed - v_n,
           round = g.round + 1,
           completed_at = null
     where g.group_id = p_group_id;
    with last as materialized (
        select distinct on (t.step_id) t.step_id, t.lane_id, o.ended
          from unnest(v_runs) r(run_id)
          join leasehold.step t on t.step_id >= r.run_id * 1024 and t.step_id < (r.run_id + 1) * 1024
          join leasehold.outcome o on o.step_id = t.step_id
         order by t.step_id, o.token desc),
    again as materialized (select l.step_id, l.lane_id from last l where l.ended <> 'succeeded'),
    parents as materialized (
        select (a.step_id & ~1023::bigint) + x.ix as step_id, count(*)::smallint as n
          from again a
          join leasehold.lane l on l.lane_id = a.lane_id
          join leasehold.workflow_step w on w.workflow_id = l.workflow_id and w.ix = a.step_id & 1023
         cross join unnest(w.children) x(ix)
         group by 1),
    reopened as (
        insert into leasehold.outcome (step_id, token, attempt, ended, at)
        select a.step_id, nextval('leasehold.token_seq'), 0, 'reopened', v_now from again a),
    waiting as (
        insert into leasehold.blocked (step_id, lane_id, parents_left)
        select a.step_id, a.lane_id, p.n from again a join parents p using (step_id))
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select a.lane_id, false, nextval('leasehold.position_seq'), a.step_id, 1, false
      from (select * from again a where not exists (select from parents p where p.step_id = a.step_id)
             order by a.step_id) a;
    return v_n;
end
$$;
