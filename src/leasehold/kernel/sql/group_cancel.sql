-- group_cancel: mark a group cancelled. The sweep (sweep_cancelled) follows in transactions of its own.
--
-- Returns  true if it was marked now; false if it was cancelled or complete already.
-- Cost     one update.
-- Blocks   adding, sealing, folding and retrying of the same group.
-- Fencing  from the commit on, nothing of this group is released or requeued once its run has an outcome.
create or replace function leasehold.group_cancel(p_group_id bigint)
returns boolean language plpgsql as $$
begin
    update leasehold.run_group g
       set cancelled_at = leasehold.now(), sealed_at = coalesce(g.sealed_at, leasehold.now())
     where g.group_id = p_group_id and g.cancelled_at is null and g.completed_at is null;
    return found;
end
$$;
