-- lane_seats: lock free seats at every resource that a lane stands behind, for up to p_n of its steps.
--
-- Called by claim, for lanes that have a resource: their own key (one seat covers the page), and their kind's share if a
-- limit is set (one seat a step). What is locked here and not filled afterwards (fill_seats) stays free.
--
-- Returns  how many steps may be taken (0: some resource has no seat), and the locked seats.
-- Cost     one pass over each resource's seats.
-- Blocks   never: seats that somebody else is taking or giving back right now are skipped; resources in key order.
-- Fencing  the seat is looked at again under its lock.
create or replace function leasehold.lane_seats(
    p_lane bigint, p_n integer, out n integer, out keys text[], out ixs integer[])
language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v record;
    v_free integer[];
begin
    n := p_n;
    keys := '{}';
    ixs := '{}';
    for v in
        select r.key, r.per from leasehold.lane l join leasehold.resource r on r.key = any (array[l.key, 'kind:' || l.kind])
         where l.lane_id = p_lane order by r.key
    loop
        v_free := leasehold.seats_free(v.key, true);
        v_free := array(select s.ix from leasehold.seat s
                         where s.key = v.key and s.ix = any (v_free) and s.holder_id is null
                         order by s.ix limit case when v.per = 'page' then 1 else n end for update skip locked);
        if v_free = '{}' then
            n := 0;
            return;
        end if;
        if v.per = 'step' then
            n := cardinality(v_free);
        end if;
        keys := keys || array_fill(v.key, array[cardinality(v_free)]);
        ixs := ixs || v_free;
    end loop;
end
$$;
