-- hook_retry: make these calls again, those of them that have failed.
--
-- Returns  how many were reopened.
-- Cost     one probe and two inserts a call.
-- Blocks   another retry of the same calls.
-- Fencing  a call that failed stands nowhere, and only this puts it anywhere: its row is locked, and it is looked at
--          again then. It gets an outcome under a new token, attempt 1 and a new position; its key stays.
create or replace function leasehold.hook_retry(p_steps bigint[])
returns integer language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_failed bigint[];
begin
    perform from leasehold.hook_call c where c.step_id = any (p_steps) order by c.step_id for update;
    v_failed := array(
        select c.step_id from leasehold.hook_call c
         cross join lateral (select o.ended from leasehold.outcome o where o.step_id = c.step_id
                              order by o.token desc limit 1) x
         where c.step_id = any (p_steps) and x.ended = 'failed' order by c.step_id);
    insert into leasehold.outcome (step_id, token, attempt, ended, at)
    select u.step_id, nextval('leasehold.token_seq'), 0, 'reopened', leasehold.now() from unnest(v_failed) u(step_id);
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select s.lane_id, false, nextval('leasehold.position_seq'), s.step_id, 1, false
      from unnest(v_failed) u(step_id) join leasehold.step s using (step_id);
    return cardinality(v_failed);
end
$$;
