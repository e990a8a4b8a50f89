-- requeue: put steps that were leased back into their lanes, at new positions, with their attempts unchanged.
--
-- Returns  nothing.
-- Cost     one insert a step.
-- Blocks   as lock_runs.
-- Fencing  the caller has taken the steps out of their leases. A step of a run that has ended meanwhile does not come
--          back: it is cancelled under a new token. (A cancelled group's run that is still open is swept later.)
create or replace function leasehold.requeue(
    p_steps bigint[], p_attempts smallint[], p_lanes bigint[], p_alone boolean[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
begin
    perform leasehold.lock_runs(array(select distinct u.step_id >> 10 from unnest(p_steps) u(step_id)), null, null);
    with given as materialized (
        select u.step_id, u.attempt, u.lane_id, u.alone,
               exists (select from leasehold.run_outcome o
                        where o.run_id = u.step_id >> 10 and not o.reopened) as over
          from unnest(p_steps, p_attempts, p_lanes, p_alone) u(step_id, attempt, lane_id, alone)),
    ended as (
        insert into leasehold.outcome (step_id, token, attempt, ended, at, reason)
        select g.step_id, nextval('leasehold.token_seq'), g.attempt, 'cancelled', v_now, 'run ended'
          from given g where g.over),
    ordered as (select * from given g where not g.over order by g.step_id)
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select o.lane_id, o.alone, nextval('leasehold.position_seq'), o.step_id, o.attempt, false from ordered o;
end
$$;
