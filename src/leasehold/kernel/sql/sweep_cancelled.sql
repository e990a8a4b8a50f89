-- sweep_cancelled: end runs of cancelled groups: their waiting steps, and their leases, which are taken away.
--
-- Repeated by every keeper until nothing is left: one pass misses what is being claimed or released in the meantime.
--
-- Returns  how many runs and leased steps were ended by this call.
-- Cost     one pass over the leases and at most p_limit open runs of each cancelled group.
-- Blocks   as end_steps; leases that somebody is finishing right now are skipped.
-- Fencing  leases are deleted before their steps end under new tokens, so a late finish is refused.
create or replace function leasehold.sweep_cancelled(p_limit integer)
returns bigint language plpgsql set jit = off as $$
declare
    v_group record;
    v_tokens bigint[];
    v_steps bigint[];
    v_attempts smallint[];
    v_lanes bigint[];
    v_runs bigint[];
    v_swept bigint := 0;
begin
    for v_group in
        select g.group_id, (select min(l.lane_id) from leasehold.lane l where l.group_id = g.group_id) as lane_id
          from leasehold.run_group g
         where g.cancelled_at is not null and g.completed_at is null order by g.group_id
    loop
        select array_agg(l.token) into v_tokens
          from (select l.token from leasehold.lease l
                 where l.lane_id in (select n.lane_id from leasehold.lane n where n.group_id = v_group.group_id)
                 order by l.token for update skip locked) l;
        if v_tokens is not null then
            select array_agg(s.step_id order by s.step_id), array_agg(s.attempt order by s.step_id),
                   array_agg(l.lane_id order by s.step_id)
              into v_steps, v_attempts, v_lanes
              from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
             where l.token = any (v_tokens);
            delete from leasehold.lease l where l.token = any (v_tokens);
            perform leasehold.end_steps(
                v_steps, array(select nextval('leasehold.token_seq') from unnest(v_steps)), v_attempts, v_lanes,
                array_fill('cancelled'::leasehold.ending, array[cardinality(v_steps)]),
                array_fill('group cancelled'::text, array[cardinality(v_steps)]),
                array_fill(null::text, array[cardinality(v_steps)]),
                array_fill(null::double precision, array[cardinality(v_steps)]),
                array_fill(null::bytea, array[cardinality(v_steps)]));
            v_swept := v_swept + cardinality(v_steps);
        end if;
        select array_agg(r.run_id) into v_runs
          from (select r.run_id from leasehold.group_span s
                  join leasehold.run r on r.run_id between s.first_run and s.last_run
                 where s.group_id = v_group.group_id
                   and not exists (select from leasehold.run_outcome o where o.run_id = r.run_id and not o.reopened)
                 order by r.run_id limit p_limit) r;
        if v_runs is not null then
            perform leasehold.end_runs(v_runs, array_fill('cancelled'::leasehold.ending, array[cardinality(v_runs)]),
                                       array_fill(v_group.lane_id, array[cardinality(v_runs)]));
            v_swept := v_swept + cardinality(v_runs);
        end if;
    end loop;
    return v_swept;
end
$$;
