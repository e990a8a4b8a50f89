-- free_seats: make these seats free. The inner end of every way in which a seat is given back or taken away.
--
-- A resource that was made smaller gets its seats back here: of those that are left, the one with the highest number
-- takes the place of the one that comes back, so usage only falls until the limit holds.
--
-- p_own says that the holder gave them back itself. Otherwise each gets a new token, so that a late word under the old
-- one can never be mistaken for the holder's own.
--
-- Returns  nothing.
-- Cost     one update a seat.
-- Blocks   never: the caller has locked the seats, by key and number; surplus seats that others have locked are skipped.
-- Fencing  the caller has checked whose they are.
create or replace function leasehold.free_seats(p_keys text[], p_ixs integer[], p_own boolean)
returns void language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v record;
    v_other integer;
begin
    if not exists (select from leasehold.resource r join leasehold.seat s on s.key = r.key and s.ix > r.seats
                    where r.key = any (p_keys)) then
        update leasehold.seat s
           set holder_id = null, since = v_now,
               token = case when p_own then s.token else nextval('leasehold.token_seq') end
          from unnest(p_keys, p_ixs) u(key, ix) where s.key = u.key and s.ix = u.ix;
        return;
    end if;
    -- From the highest number down: so what is given back itself never takes the place of another one.
    for v in select s.*, r.seats from unnest(p_keys, p_ixs) u(key, ix)
               join leasehold.seat s on s.key = u.key and s.ix = u.ix
               join leasehold.resource r on r.key = u.key order by u.key, u.ix desc
    loop
        select s.ix into v_other from leasehold.seat s
         where s.key = v.key and s.ix > v.seats and s.ix <> v.ix order by s.ix desc limit 1 for update skip locked;
        if v.ix > v.seats or v_other is not null then
            delete from leasehold.seat s where s.key = v.key and s.ix = v.ix;
            update leasehold.seat s set ix = v.ix where s.key = v.key and s.ix = v_other and v.ix <= v.seats;
        else
            update leasehold.seat s
               set holder_id = null, since = v_now,
                   token = case when p_own then s.token else nextval('leasehold.token_seq') end
             where s.key = v.key and s.ix = v.ix;
        end if;
    end loop;
end
$$;
