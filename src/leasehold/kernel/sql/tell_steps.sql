-- tell_steps: the events of steps that ended, where somebody subscribed to them.
--
-- An error that is tried again, and a snooze, is no end. A step of no group has no events.
--
-- Returns  nothing.
-- Cost     as tell; called for pages with such a lane only.
-- Blocks   as tell.
-- Fencing  the caller has just recorded the ends.
create or replace function leasehold.tell_steps(
    p_steps bigint[], p_lanes bigint[], p_attempts smallint[], p_ends leasehold.ending[], p_reasons text[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
begin
    perform leasehold.tell(array_agg(e.name order by e.step_id), array_agg(e.group_id order by e.step_id),
                           array_agg(e.step_id >> 10 order by e.step_id), array_agg(e.data order by e.step_id))
       from (select case when u.ended = 'failed' then 'step_failed' else 'step_end' end as name, l.group_id, l.subscribed,
                    u.step_id,
                    jsonb_build_object('step_id', u.step_id, 'kind', l.kind, 'attempt', u.attempt, 'ended', u.ended,
                                       'reason', u.reason) as data
               from unnest(p_steps, p_lanes, p_attempts, p_ends, p_reasons) u(step_id, lane_id, attempt, ended, reason)
               join leasehold.lane l on l.lane_id = u.lane_id
              where u.ended in ('succeeded', 'failed', 'cancelled')) e
      where e.name = any (e.subscribed)
     having count(*) > 0;
end
$$;
