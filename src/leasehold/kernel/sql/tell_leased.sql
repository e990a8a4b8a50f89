-- tell_leased: the events of a lease in a lane whose runs or steps somebody subscribed to.
--
-- p_fresh are those of the steps whose runs begin with them (null: none).
--
-- Returns  nothing.
-- Cost     as tell; called for such lanes only.
-- Blocks   as tell.
-- Fencing  the caller has just leased the steps.
create or replace function leasehold.tell_leased(p_lane bigint, p_steps bigint[], p_attempts smallint[], p_fresh bigint[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
begin
    perform leasehold.tell(array_agg(e.name order by e.step_id, e.name), array_agg(e.group_id order by e.step_id, e.name),
                           array_agg(e.step_id >> 10 order by e.step_id, e.name),
                           array_agg(e.data order by e.step_id, e.name))
       from (select 'run_start' as name, l.group_id, f.step_id, null::jsonb as data
               from leasehold.lane l, unnest(p_fresh) f(step_id) where l.lane_id = p_lane
             union all
             select 'step_start', l.group_id, s.step_id,
                    jsonb_build_object('step_id', s.step_id, 'kind', l.kind, 'attempt', s.attempt)
               from leasehold.lane l, unnest(p_steps, p_attempts) s(step_id, attempt)
              where l.lane_id = p_lane and 'step_start' = any (l.subscribed)) e
     having count(*) > 0;
end
$$;
