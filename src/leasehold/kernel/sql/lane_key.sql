-- lane_key: put the steps of one kind in one group behind a resource: from the next claim on they need its seat.
--
-- Returns  nothing.
-- Cost     one update.
-- Blocks   as resource_open, and while the resource is removed.
-- Fencing  none: a page that is leased already goes on without a seat, so this belongs into the transaction that opens
--          the group. A kind that the group's workflow does not have is the caller's mistake (LS004).
create or replace function leasehold.lane_key(p_group_id bigint, p_kind text, p_key text)
returns void language plpgsql as $$
begin
    loop  -- the resource before the lane, as limit_remove does; it may be removed at this very moment
        perform leasehold.resource_open(p_key);
        perform from leasehold.resource r where r.key = p_key for key share;
        exit when found;
    end loop;
    update leasehold.lane l set key = p_key where l.group_id = p_group_id and l.kind = p_kind;
    if not found then
        raise exception using errcode = 'LS004',
            message = format('group %s has no steps of kind %s', p_group_id, p_kind),
            hint = 'Name a kind of the group''s workflow.';
    end if;
end
$$;
