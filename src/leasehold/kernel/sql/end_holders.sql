-- end_holders: end these holders and give back all they held. Called by reap and end_holder.
--
-- p_blamed names the one step that is proven to have caused the end (its time ran out and its keeper killed the process):
-- it alone is charged an attempt, with p_reason, and its neighbours go back as they were. Without it the rule of proof
-- applies: a step that was the only one its holder held is charged; otherwise every step goes back uncharged, and those
-- under suspicion are leased alone next time. p_suspects names them: what the dead process was working on, as its board
-- says; null: nobody knows, so all of them. What was charged is leased alone from then on.
--
-- Returns  for each holder the steps given back, and the step charged (null: none).
-- Cost     one pass over what they held.
-- Blocks   leases in token order, until whoever finishes them has committed; their seats; then as lock_runs.
-- Fencing  the caller has locked the holder rows, so no claim of theirs can run; outcomes get new tokens.
create or replace function leasehold.end_holders(
    p_holder_ids bigint[], p_blamed bigint, p_suspects bigint[], p_reason text)
returns table (holder_id bigint, returned bigint[], charged bigint)
language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := leasehold.now();
    v record;
    v_charged bigint[];
begin
    perform from leasehold.lease l where l.holder_id = any (p_holder_ids) order by l.token for update;
    with held as (
        select l.holder_id, l.lane_id, l.alone, s.step_id, s.attempt,
               case when p_blamed is null then count(*) over (partition by l.holder_id) = 1
                    else s.step_id = p_blamed end as charge
          from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
         where l.holder_id = any (p_holder_ids))
    select array_agg(h.holder_id order by h.step_id) as holders, array_agg(h.step_id order by h.step_id) as steps,
           array_agg(h.attempt order by h.step_id) as attempts, array_agg(h.lane_id order by h.step_id) as lanes,
           array_agg(h.alone or p_blamed is null and (p_suspects is null or h.step_id = any (p_suspects))
                     order by h.step_id) as alone,
           array_agg(h.charge order by h.step_id) as charge
      into v from held h;
    delete from leasehold.lease l where l.holder_id = any (p_holder_ids);
    perform leasehold.seats_of_holders_back(p_holder_ids);
    update leasehold.holder h set ended_at = v_now, end_reason = 'reaped' where h.holder_id = any (p_holder_ids);

    if v.steps is not null then
        v_charged := array(select u.step_id from unnest(v.steps, v.charge) u(step_id, charge) where u.charge);
        perform leasehold.lock_runs(
            array(select distinct u.step_id >> 10 from unnest(v.steps) u(step_id)),
            array(select distinct u.step_id >> 10 from unnest(v_charged) u(step_id)), null);
        perform leasehold.end_steps(
            array_agg(u.step_id order by u.step_id), array_agg(nextval('leasehold.token_seq')),
            array_agg(u.attempt order by u.step_id), array_agg(u.lane_id order by u.step_id),
            array_agg('error'::leasehold.ending),
            array_agg(case when p_blamed is null then 'holder died' else p_reason end),
            array_agg(format('holder %s ended: %s', u.holder_id, p_reason) order by u.step_id),
            array_agg(null::double precision), array_agg(null::bytea))
          from unnest(v.steps, v.attempts, v.lanes, v.charge, v.holders) u(step_id, attempt, lane_id, charge, holder_id)
         where u.charge having count(*) > 0;
        update leasehold.delayed d set alone = true where d.step_id = any (v_charged);
        perform leasehold.requeue(
            array_agg(u.step_id order by u.step_id), array_agg(u.attempt order by u.step_id),
            array_agg(u.lane_id order by u.step_id), array_agg(u.alone order by u.step_id))
          from unnest(v.steps, v.attempts, v.lanes, v.charge, v.alone) u(step_id, attempt, lane_id, charge, alone)
         where not u.charge having count(*) > 0;
    end if;
    return query
    select h.holder_id, coalesce(array_agg(u.step_id order by u.step_id) filter (where not u.charge), '{}'),
           min(u.step_id) filter (where u.charge)
      from unnest(p_holder_ids) h(holder_id)
      left join unnest(v.holders, v.steps, v.charge) u(holder_id, step_id, charge) on u.holder_id = h.holder_id
     group by h.holder_id order by h.holder_id;
end
$$;
