-- fill_seats: give seats that lane_seats has locked to a lease of p_n steps.
--
-- Returns  nothing. At each resource at most p_n seats are filled; the others stay free.
-- Cost     one update a seat.
-- Blocks   never: the caller holds the seats' locks.
-- Fencing  the seat's token is the lease's, drawn after the seat was locked; it lives and ends with that lease.
create or replace function leasehold.fill_seats(
    p_holder_id bigint, p_token bigint, p_keys text[], p_ixs integer[], p_n integer)
returns void language plpgsql set jit = off set enable_seqscan = off as $$
begin
    update leasehold.seat s
       set holder_id = p_holder_id, token = p_token, leased = true, since = leasehold.now()
      from (select u.key, u.ix, row_number() over (partition by u.key order by u.ix) as nth
              from unnest(p_keys, p_ixs) u(key, ix)) t
     where s.key = t.key and s.ix = t.ix and t.nth <= p_n;
end
$$;
