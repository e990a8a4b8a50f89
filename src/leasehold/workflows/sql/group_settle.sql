-- group_settle: say once with which parameter set a group is worked.
--
-- Returns  the set that the group has: p_set_id, or the one it was given before.
-- Cost     one insert.
-- Blocks   while the set is being forgotten.
-- Fencing  the first word stands: sent again, or with another set, it changes nothing.
create or replace function leasehold.group_settle(p_group_id bigint, p_set_id bigint, p_timeouts real[])
returns bigint language plpgsql as $$
begin
    perform from leasehold.parameter_set s where s.set_id = p_set_id for key share;
    insert into leasehold.group_setting (group_id, set_id, timeouts) values (p_group_id, p_set_id, p_timeouts)
    on conflict (group_id) do nothing;
    return (select t.set_id from leasehold.group_setting t where t.group_id = p_group_id);
end
$$;
