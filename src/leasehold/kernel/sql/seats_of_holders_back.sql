-- seats_of_holders_back: free every seat of holders that end, with a step or without, and their places in lines.
--
-- Returns  nothing.
-- Cost     one probe a holder when there are none; else as free_seats.
-- Blocks   seats in key order. After the holders' and their leases' locks.
-- Fencing  the caller has locked the holders, so none of them can take another; seats get new tokens.
create or replace function leasehold.seats_of_holders_back(p_holder_ids bigint[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_keys text[];
    v_ixs integer[];
begin
    delete from leasehold.seat_line w where w.holder_id = any (p_holder_ids);
    perform from leasehold.seat s where s.holder_id = any (p_holder_ids) order by s.key, s.ix for update;
    if not found then
        return;
    end if;
    select array_agg(s.key), array_agg(s.ix) into v_keys, v_ixs
      from leasehold.seat s where s.holder_id = any (p_holder_ids);
    perform leasehold.free_seats(v_keys, v_ixs, false);
end
$$;
