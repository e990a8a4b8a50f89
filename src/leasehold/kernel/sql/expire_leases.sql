-- expire_leases: take back leases whose deadline has passed although their holder lives.
--
-- The keeper watches its children's deadlines itself and kills the child; this is the backstop for a holder that does
-- not. A lease of one step charges it (its time ran out); of several, each goes back uncharged. Both are leased alone
-- from then on.
--
-- Returns  the steps taken back.
-- Cost     one scan of the lease table, one row per page in flight.
-- Blocks   never for a lease: one that somebody is finishing right now is skipped; then as lock_runs.
-- Fencing  the deadline is read under the lease's lock; a late finish finds no lease and is refused.
create or replace function leasehold.expire_leases(p_limit integer)
returns bigint[] language plpgsql set jit = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_tokens bigint[];
    v_charged bigint[];
    v record;
begin
    v_tokens := array(
        select l.token from leasehold.lease l
         where l.deadline < v_now order by l.token limit p_limit for update skip locked);
    select array_agg(s.step_id order by s.step_id) as steps, array_agg(s.attempt order by s.step_id) as attempts,
           array_agg(l.lane_id order by s.step_id) as lanes,
           array_agg(cardinality(l.step_ids) = 1 order by s.step_id) as charge
      into v
      from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
     where l.token = any (v_tokens);
    if v.steps is null then
        return '{}';
    end if;
    delete from leasehold.lease l where l.token = any (v_tokens);
    perform leasehold.seats_of_leases_back(v_tokens);
    v_charged := array(select u.step_id from unnest(v.steps, v.charge) u(step_id, charge) where u.charge);
    perform leasehold.lock_runs(
        array(select distinct u.step_id >> 10 from unnest(v.steps) u(step_id)),
        array(select distinct u.step_id >> 10 from unnest(v_charged) u(step_id)), null);
    perform leasehold.end_steps(
        array_agg(u.step_id order by u.step_id), array_agg(nextval('leasehold.token_seq')),
        array_agg(u.attempt order by u.step_id), array_agg(u.lane_id order by u.step_id),
        array_agg('error'::leasehold.ending), array_agg('timeout'::text),
        array_agg('its lease passed its deadline'::text), array_agg(null::double precision), array_agg(null::bytea))
      from unnest(v.steps, v.attempts, v.lanes, v.charge) u(step_id, attempt, lane_id, charge)
     where u.charge having count(*) > 0;
    update leasehold.delayed d set alone = true where d.step_id = any (v_charged);
    perform leasehold.requeue(
        array_agg(u.step_id order by u.step_id), array_agg(u.attempt order by u.step_id),
        array_agg(u.lane_id order by u.step_id), array_agg(true))
      from unnest(v.steps, v.attempts, v.lanes, v.charge) u(step_id, attempt, lane_id, charge)
     where not u.charge having count(*) > 0;
    return v.steps;
end
$$;
