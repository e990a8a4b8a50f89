-- holder_leave: a holder goes of its own will; what it still holds goes back unworked.
--
-- Returns  how many steps were given back; 0 also when the holder had already ended.
-- Cost     one pass over what it held.
-- Blocks   waits for a claim or heartbeat of the same holder, then for its leases and seats, then as
--          lock_runs.
-- Fencing  after this, every write under its tokens is refused.
create or replace function leasehold.holder_leave(p_holder_id bigint)
returns integer language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_steps bigint[];
    v_attempts smallint[];
    v_lanes bigint[];
    v_alone boolean[];
begin
    perform from leasehold.holder h where h.holder_id = p_holder_id and h.ended_at is null for update;
    if not found then
        return 0;
    end if;
    perform from leasehold.lease l where l.holder_id = p_holder_id order by l.token for update;
    select array_agg(s.step_id order by s.step_id), array_agg(s.attempt order by s.step_id),
           array_agg(l.lane_id order by s.step_id), array_agg(l.alone order by s.step_id)
      into v_steps, v_attempts, v_lanes, v_alone
      from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
     where l.holder_id = p_holder_id;
    delete from leasehold.lease l where l.holder_id = p_holder_id;
    perform leasehold.seats_of_holders_back(array[p_holder_id]);
    update leasehold.holder h set ended_at = leasehold.now(), end_reason = 'left' where h.holder_id = p_holder_id;
    if v_steps is null then
        return 0;
    end if;
    perform leasehold.requeue(v_steps, v_attempts, v_lanes, v_alone);
    return cardinality(v_steps);
end
$$;
