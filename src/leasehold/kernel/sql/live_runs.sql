-- live_runs: runs of these ids of which a step waits or is leased.
--
-- Returns  their ids, each once.
-- Cost     three index range scans, and one look at all leases, of which there are few.
-- Blocks   never.
-- Fencing  one statement, one snapshot: a step that is being claimed is seen in its lane or in its lease.
create or replace function leasehold.live_runs(p_first bigint, p_end bigint)
returns setof bigint language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    return query
    select y.step_id >> 10 from leasehold.ready y where y.step_id >= p_first << 10 and y.step_id < p_end << 10
    union
    select d.step_id >> 10 from leasehold.delayed d where d.step_id >= p_first << 10 and d.step_id < p_end << 10
    union
    select b.step_id >> 10 from leasehold.blocked b where b.step_id >= p_first << 10 and b.step_id < p_end << 10
    union
    select u.step_id >> 10 from leasehold.lease l, unnest(l.step_ids) u(step_id)
     where u.step_id >= p_first << 10 and u.step_id < p_end << 10;
end
$$;
