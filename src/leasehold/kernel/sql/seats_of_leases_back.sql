-- seats_of_leases_back: free what leases no longer need: all seats of those that are gone, and of those that have
-- become smaller the seats taken for each step that is no longer theirs.
--
-- Returns  nothing.
-- Cost     one probe a lease when there are none; else as free_seats.
-- Blocks   seats in key order, until whoever breaks, confirms or resizes them has committed. After the leases' locks.
-- Fencing  the caller holds the leases' locks, and has deleted or shrunk them.
create or replace function leasehold.seats_of_leases_back(p_tokens bigint[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_keys text[];
    v_ixs integer[];
begin
    perform from leasehold.seat s
      where s.token = any (p_tokens) and s.leased and s.holder_id is not null order by s.key, s.ix for update;
    if not found then
        return;
    end if;
    select array_agg(t.key), array_agg(t.ix) into v_keys, v_ixs
      from (select s.key, s.ix,
                   row_number() over (partition by s.token, s.key order by s.ix) as nth,
                   case when l.token is null then 0 when r.per = 'page' then 1 else cardinality(l.step_ids) end as needed
              from leasehold.seat s
              join leasehold.resource r on r.key = s.key
              left join leasehold.lease l on l.token = s.token
             where s.token = any (p_tokens) and s.leased and s.holder_id is not null) t
     where t.nth > t.needed;
    if v_keys is not null then
        perform leasehold.free_seats(v_keys, v_ixs, true);
    end if;
end
$$;
