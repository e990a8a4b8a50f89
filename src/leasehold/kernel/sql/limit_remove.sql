-- limit_remove: forget a resource with its seats and its line. Leases that have a seat there go on without one.
--
-- Returns  true; false if there is no such resource.
-- Cost     one row a seat.
-- Blocks   as limit_set.
-- Fencing  refused (LS005) while a holder without a step has a seat, or a lane of a group that is open stands behind it:
--          either would be unguarded from then on.
create or replace function leasehold.limit_remove(p_key text)
returns boolean language plpgsql as $$
begin
    perform from leasehold.resource r where r.key = p_key for update;
    if not found then
        return false;
    end if;
    perform from leasehold.seat s where s.key = p_key order by s.ix for update;
    if exists (select from leasehold.seat s where s.key = p_key and s.holder_id is not null and not s.leased)
       or exists (select from leasehold.lane l join leasehold.run_group g using (group_id)
                   where l.key = p_key and g.completed_at is null) then
        raise exception using errcode = 'LS005', message = format('%s is in use', p_key),
            hint = format('See who has it: leasehold lock why %s', p_key);
    end if;
    update leasehold.lane l set key = null where l.key = p_key;
    delete from leasehold.pause p where p.what = 'limit' and p.name = p_key;
    delete from leasehold.resource r where r.key = p_key;
    return true;
end
$$;
