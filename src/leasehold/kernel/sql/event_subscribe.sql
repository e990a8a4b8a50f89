-- event_subscribe: have these events of steps written for a group, from its next lease on. May be sent again.
--
-- Returns  nothing.
-- Cost     one update a lane.
-- Blocks   lane_key of the same group.
-- Fencing  none: what is leased already is told when it ends, or not.
create or replace function leasehold.event_subscribe(p_group_id bigint, p_names text[])
returns void language plpgsql as $$
begin
    update leasehold.lane l
       set subscribed = array(select distinct n.name from unnest(l.subscribed || p_names) n(name) order by 1)
     where l.group_id = p_group_id and not p_names <@ coalesce(l.subscribed, '{}');
    if not found and not exists (select from leasehold.run_group g where g.group_id = p_group_id) then
        raise exception using errcode = 'LS004', message = format('there is no group %s', p_group_id);
    end if;
end
$$;
