-- holder_heartbeat: keep everything that these holders hold.
--
-- Returns  the holders that still live, each with the tokens it holds, of leases and of seats without one, and with the
--          steps that were taken out of its leases because their runs were cancelled. A holder that is missing has lost
--          all it held, and a token that is missing was taken away (cancelled, past its deadline, or broken). drain: it
--          is to claim no more, and then to end, or to stay idle; null: it may go on.
-- Cost     one update a holder, however much it holds.
-- Blocks   waits for a claim or a reap of the same holder.
-- Fencing  a late heartbeat keeps a holder that nobody has reaped; one that was reaped stays ended.
create or replace function leasehold.holder_heartbeat(p_holder_ids bigint[])
returns table (holder_id bigint, tokens bigint[], cancelled bigint[], drain text) language plpgsql as $$
#variable_conflict use_column
declare
    v_now timestamptz;
begin
    perform from leasehold.holder h where h.holder_id = any (p_holder_ids) order by h.holder_id for no key update;
    v_now := leasehold.now();
    return query
    with kept as (
        update leasehold.holder h
           set heartbeat_at = v_now, expires_at = v_now + h.ttl
         where h.holder_id = any (p_holder_ids) and h.ended_at is null
        returning h.holder_id, h.drain
    )
    select k.holder_id,
           array(select l.token from leasehold.lease l where l.holder_id = k.holder_id
                 union all
                 select s.token from leasehold.seat s where s.holder_id = k.holder_id and not s.leased),
           array(select c.step_id from leasehold.lease l, unnest(l.cancelled) c(step_id) where l.holder_id = k.holder_id),
           k.drain
      from kept k;
end
$$;
