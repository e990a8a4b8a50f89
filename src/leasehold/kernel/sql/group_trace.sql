-- group_trace: say which trace a group belongs to. Called where it is opened.
--
-- Returns  nothing.
-- Cost     one update.
-- Blocks   as group_fold, for the group's row.
-- Fencing  none needed: nothing is decided by it.
create or replace function leasehold.group_trace(p_group_id bigint, p_trace text)
returns void language plpgsql as $$
begin
    update leasehold.run_group g set trace = p_trace where g.group_id = p_group_id;
end
$$;
