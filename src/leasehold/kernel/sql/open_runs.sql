-- open_runs: how many runs of a kind, a source or a group have been added and have not ended.
--
-- Returns  a number, counted from what the open groups count already and the deltas beside them; it cannot leak.
-- Cost     one probe per open group.
-- Blocks   never.
-- Fencing  none. What ends in a transaction that has not committed is still open.
create or replace function leasehold.open_runs(p_what text, p_name text)
returns bigint language plpgsql stable
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    return (
        select coalesce(sum(g.added - g.succeeded - g.failed - g.cancelled - d.ended), 0)
          from leasehold.run_group g
         cross join lateral (select coalesce(sum(x.succeeded + x.failed + x.cancelled), 0) as ended
                               from leasehold.group_delta x where x.group_id = g.group_id) d
         where g.completed_at is null
           and case p_what when 'source' then g.source = p_name
                           when 'group' then g.group_id::text = p_name
                           else exists (select from leasehold.lane l where l.group_id = g.group_id and l.kind = p_name)
               end);
end
$$;
