-- sweep_cancelled: end runs of cancelled groups: their waiting steps, and their leases, which are taken away.
--
-- Repeated by every keeper until nothing is left: one pass misses what is being claimed or released in the meantime.
--
-- Returns  how many runs and leased steps were ended by this call.
-- Cost     one pass over their leases and at most p_limit open runs of all cancelled groups.
-- Blocks   as lock_runs; leases that somebody is finishing right now are skipped.
-- Fencing  leases are deleted before their steps end under new tokens, so a late finish is refused.
create or replace function leasehold.sweep_cancelled(p_limit integer)
returns bigint language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_groups bigint[];
    v_lanes_of bigint[];
    v_tokens bigint[];
    v_held record;
    v_open record;
begin
    v_groups := array(select g.group_id from leasehold.run_group g
                       where g.cancelled_at is not null and g.completed_at is null);
    if cardinality(v_groups) = 0 then
        return 0;
    end if;
    v_lanes_of := array(select l.lane_id from leasehold.lane l where l.group_id = any (v_groups));
    v_tokens := array(select l.token from leasehold.lease l where l.lane_id = any (v_lanes_of)
                       order by l.token for update skip locked);
    select coalesce(array_agg(s.step_id order by s.step_id), '{}') as steps,
           array_agg(s.attempt order by s.step_id) as attempts, array_agg(l.lane_id order by s.step_id) as lanes
      into v_held
      from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
     where l.token = any (v_tokens);
    delete from leasehold.lease l where l.token = any (v_tokens);
    perform leasehold.seats_of_leases_back(v_tokens);

    select coalesce(array_agg(r.run_id order by r.run_id), '{}') as runs,
           array_agg(r.lane_id order by r.run_id) as lanes
      into v_open
      from (select r.run_id, (select min(l.lane_id) from leasehold.lane l where l.group_id = s.group_id) as lane_id
              from leasehold.group_span s
              join leasehold.run r on r.run_id between s.first_run and s.last_run
             where s.group_id = any (v_groups)
               and not exists (select from leasehold.run_outcome o where o.run_id = r.run_id and not o.reopened)
             order by r.run_id limit p_limit) r;
    if cardinality(v_held.steps) + cardinality(v_open.runs) = 0 then
        return 0;
    end if;

    -- All runs in one pass, those of the leased steps too: two passes would lock out of order.
    perform leasehold.lock_runs(r.runs, r.runs, null)
       from (select array_agg(distinct x.run_id) as runs
               from (select u.step_id >> 10 as run_id from unnest(v_held.steps) u(step_id)
                     union all select * from unnest(v_open.runs)) x) r;
    if cardinality(v_held.steps) > 0 then
        perform leasehold.end_steps(
            v_held.steps, array(select nextval('leasehold.token_seq') from unnest(v_held.steps)), v_held.attempts,
            v_held.lanes, array_fill('cancelled'::leasehold.ending, array[cardinality(v_held.steps)]),
            array_fill('group cancelled'::text, array[cardinality(v_held.steps)]),
            array_fill(null::text, array[cardinality(v_held.steps)]),
            array_fill(null::double precision, array[cardinality(v_held.steps)]),
            array_fill(null::bytea, array[cardinality(v_held.steps)]));
    end if;
    -- Read again after the locks: some may have ended meanwhile.
    perform leasehold.end_runs(array_agg(r.run_id order by r.run_id), array_agg('cancelled'::leasehold.ending),
                               array_agg(r.lane_id order by r.run_id))
       from unnest(v_open.runs, v_open.lanes) r(run_id, lane_id)
      where not exists (select from leasehold.run_outcome o where o.run_id = r.run_id and not o.reopened)
     having count(*) > 0;
    return cardinality(v_held.steps) + cardinality(v_open.runs);
end
$$;
