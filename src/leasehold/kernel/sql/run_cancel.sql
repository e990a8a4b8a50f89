-- run_cancel: end these runs: what waits in them at once, and what is leased, which is taken away.
--
-- Returns  how many runs were ended, and how many leased steps were taken away. A run that has ended is left as it is.
--          Called again until it answers 0 and 0: a step that was released and claimed between its looks is found then.
-- Cost     one pass over the leases of the runs' groups; then as end_steps and end_runs.
-- Blocks   until claims of these runs' steps that are under way have committed (they wait for nobody meanwhile); then
--          leases in token order, then as lock_runs.
-- Fencing  the steps leave their leases before they end, under new tokens: a late word is refused. A lease that goes on
--          with others remembers them, so that the next heartbeat tells its holder.
create or replace function leasehold.run_cancel(p_runs bigint[], p_by text, out ended integer, out taken integer)
language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_lanes_of bigint[];
    v_tokens bigint[];
    v_held record;
    v_open bigint[];
    v_reason constant text := format('cancelled by %s', p_by);
begin
    perform from unnest(p_runs) r(run_id)
       join leasehold.ready y on y.step_id >= r.run_id * 1024 and y.step_id < (r.run_id + 1) * 1024
      order by y.step_id for update of y;
    v_lanes_of := array(select l.lane_id from leasehold.lane l
                         where l.group_id in (select r.group_id from leasehold.run r where r.run_id = any (p_runs)));
    v_tokens := array(
        select l.token from leasehold.lease l
         where l.lane_id = any (v_lanes_of)
           and exists (select from unnest(l.step_ids) s(step_id) where s.step_id >> 10 = any (p_runs))
         order by l.token for update);
    select coalesce(array_agg(s.step_id order by s.step_id), '{}') as steps, array_agg(l.token order by s.step_id) as tokens,
           array_agg(s.attempt order by s.step_id) as attempts, array_agg(l.lane_id order by s.step_id) as lanes
      into v_held
      from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
     where l.token = any (v_tokens) and s.step_id >> 10 = any (p_runs);
    taken := cardinality(v_held.steps);
    if taken > 0 then
        perform leasehold.shrink_leases(v_held.tokens, v_held.steps);
        update leasehold.lease l
           set cancelled = l.cancelled || array(select h.step_id from unnest(v_held.steps, v_held.tokens) h(step_id, token)
                                                 where h.token = l.token)
         where l.token = any (v_tokens);
    end if;

    perform leasehold.lock_runs(p_runs, p_runs, null);
    v_open := array(select r.run_id from leasehold.run r
                     where r.run_id = any (p_runs)
                       and not exists (select from leasehold.run_outcome o where o.run_id = r.run_id and not o.reopened)
                     order by r.run_id);
    ended := cardinality(v_open);
    if taken > 0 then
        perform leasehold.end_steps(
            v_held.steps, array(select nextval('leasehold.token_seq') from unnest(v_held.steps)), v_held.attempts,
            v_held.lanes, array_fill('cancelled'::leasehold.ending, array[taken]), array_fill(v_reason, array[taken]),
            array_fill(null::text, array[taken]), array_fill(null::double precision, array[taken]),
            array_fill(null::bytea, array[taken]));
    end if;
    if ended > 0 then
        perform leasehold.sweep_runs(v_open, v_reason);
        perform leasehold.end_runs(array_agg(r.run_id order by r.run_id), array_agg('cancelled'::leasehold.ending),
                                   array_agg((select min(l.lane_id) from leasehold.lane l where l.group_id = r.group_id)
                                             order by r.run_id))
           from leasehold.run r where r.run_id = any (v_open);
        -- A run whose last step was claimed and succeeded just now has ended so.
        ended := (select count(*) from leasehold.run_outcome o
                   where o.run_id = any (v_open) and not o.reopened and o.ended = 'cancelled');
    end if;
end
$$;
