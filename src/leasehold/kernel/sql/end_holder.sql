-- end_holder: end a holder that is known to be dead, and give back all it held.
--
-- p_blamed names the one step that is proven to have caused it (its time ran out); it is charged an attempt with
-- p_reason, and its neighbours go back as they were. Without it the rule of proof applies: a step that was the only one
-- its holder held is charged; otherwise every step goes back uncharged, to be leased alone next time.
--
-- Returns  the steps given back, and the step charged (null: none).
-- Cost     one pass over what it held.
-- Blocks   never: a holder whose row is locked (a heartbeat, a claim, another reaper) answers null and is left alone.
-- Fencing  the holder row is locked first, so no claim of it can run; outcomes get new tokens.
create or replace function leasehold.end_holder(
    p_holder_id bigint, p_blamed bigint, p_reason text, p_only_if_expired boolean,
    out returned bigint[], out charged bigint)
language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_steps bigint[];
    v_attempts smallint[];
    v_lanes bigint[];
    v_now timestamptz;
    i integer;
begin
    perform from leasehold.holder h
      where h.holder_id = p_holder_id and h.ended_at is null for update skip locked;
    if not found then
        return;
    end if;
    v_now := leasehold.now();
    if p_only_if_expired
       and not exists (select from leasehold.holder h where h.holder_id = p_holder_id and h.expires_at < v_now) then
        return;
    end if;
    perform from leasehold.lease l where l.holder_id = p_holder_id order by l.token for update;
    select array_agg(s.step_id order by s.step_id), array_agg(s.attempt order by s.step_id),
           array_agg(l.lane_id order by s.step_id)
      into v_steps, v_attempts, v_lanes
      from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
     where l.holder_id = p_holder_id;
    delete from leasehold.lease l where l.holder_id = p_holder_id;
    update leasehold.holder h set ended_at = v_now, end_reason = 'reaped' where h.holder_id = p_holder_id;
    if v_steps is null then
        returned := '{}';
        return;
    end if;
    charged := case when cardinality(v_steps) = 1 then v_steps[1] when p_blamed = any (v_steps) then p_blamed end;
    if charged is not null then
        i := array_position(v_steps, charged);
        perform leasehold.end_steps(
            array[charged], array[nextval('leasehold.token_seq')], array[v_attempts[i]], array[v_lanes[i]],
            array['error'::leasehold.ending],
            array[case when p_blamed = charged then p_reason else 'holder died' end],
            array[format('holder %s ended: %s', p_holder_id, p_reason)], array[null::double precision],
            array[null::bytea]);
        v_steps := v_steps[:i - 1] || v_steps[i + 1:];
        v_attempts := v_attempts[:i - 1] || v_attempts[i + 1:];
        v_lanes := v_lanes[:i - 1] || v_lanes[i + 1:];
    end if;
    if cardinality(v_steps) > 0 then
        perform leasehold.requeue(v_steps, v_attempts, v_lanes, charged is null);
    end if;
    returned := v_steps;
end
$$;
