-- group_seal: say that nothing more will be added; from now on the group can complete. May be sent again.
--
-- Returns  true if the group completed by this call (it was empty, or its last run had ended already).
-- Cost     one update and a fold.
-- Blocks   adding, folding and retrying of the same group.
-- Fencing  as group_fold.
create or replace function leasehold.group_seal(p_group_id bigint)
returns boolean language plpgsql as $$
begin
    update leasehold.run_group g set sealed_at = leasehold.now()
     where g.group_id = p_group_id and g.sealed_at is null;
    return leasehold.group_fold(p_group_id);
end
$$;
