-- group_retry: open a new round for the failed runs of a group; what succeeded is not run again.
--
-- p_reasons restricts it to runs whose failed step gave one of these reasons (null: all).
--
-- Returns  how many runs were reopened.
-- Cost     one pass over the failed runs.
-- Blocks   leases of the group's lanes in token order, then adding, sealing and folding of the group.
-- Fencing  reopened steps get an outcome under a new token, attempt 1 and a new position: every clock starts again.
create or replace function leasehold.group_retry(p_group_id bigint, p_reasons text[])
returns bigint language plpgsql set jit = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_runs bigint[];
    v_n bigint;
begin
    perform from leasehold.lease l
      where l.lane_id in (select n.lane_id from leasehold.lane n where n.group_id = p_group_id)
      order by l.token for no key update;
    perform from leasehold.run_group g where g.group_id = p_group_id for update;
    if not found then
        raise exception using errcode = 'LS004', message = format('there is no group %s', p_group_id);
    end if;
    perform leasehold.group_fold(p_group_id);
    select array_agg(o.run_id order by o.run_id) into v_runs
      from leasehold.group_span s
      join leasehold.run_outcome o on o.run_id between s.first_run and s.last_run
     where s.group_id = p_group_id and o.ended = 'failed' and not o.reopened
       and (p_reasons is null or exists (
            select from leasehold.outcome e
             where e.step_id >= o.run_id * 1024 and e.step_id < (o.run_id + 1) * 1024
               and e.ended = 'failed' and e.reason = any (p_reasons)))
       -- a sibling that is still leased would end in the wrong round: such a run waits for the next retry
       and not exists (
            select from leasehold.lease l, unnest(l.step_ids) x(step_id)
             where l.lane_id in (select n.lane_id from leasehold.lane n where n.group_id = p_group_id)
               and x.step_id >> 10 = o.run_id);
    if v_runs is null then
        return 0;
    end if;
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
          left join leasehold.outcome o on o.step_id = t.step_id
         order by t.step_id, o.token desc),
    again as materialized (
        select l.step_id, l.lane_id,
               (select count(*) from leasehold.lane n
                  join leasehold.workflow_step p on p.workflow_id = n.workflow_id
                  join last q on q.step_id = (l.step_id & ~1023::bigint) + p.ix
                 where n.lane_id = l.lane_id and (l.step_id & 1023)::smallint = any (p.children)
                   and q.ended is distinct from 'succeeded') as parents_left
          from last l where l.ended in ('failed', 'cancelled')),
    reopened as (
        insert into leasehold.outcome (step_id, token, attempt, ended, at)
        select a.step_id, nextval('leasehold.token_seq'), 0, 'reopened', v_now from again a),
    waiting as (
        insert into leasehold.blocked (step_id, lane_id, parents_left)
        select a.step_id, a.lane_id, a.parents_left from again a where a.parents_left > 0)
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select a.lane_id, false, nextval('leasehold.position_seq'), a.step_id, 1, false
      from (select * from again where parents_left = 0 order by step_id) a;
    return v_n;
end
$$;
