-- group_weigh: give a group another weight or priority (null: as it is). Workers heed it from their next look.
--
-- Returns  nothing.
-- Cost     one update per kind of step.
-- Blocks   another group_weigh of the same group.
-- Fencing  none needed. LS004: there is no such group.
create or replace function leasehold.group_weigh(p_group_id bigint, p_weight integer, p_priority integer)
returns void language plpgsql as $$
begin
    update leasehold.lane l
       set weight = coalesce(p_weight, l.weight), priority = coalesce(p_priority, l.priority)
     where l.group_id = p_group_id;
    if not found then
        raise exception using errcode = 'LS004', message = format('there is no group %s', p_group_id),
            hint = 'Run `leasehold group list`.';
    end if;
end
$$;
