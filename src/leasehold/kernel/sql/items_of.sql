-- items_of: the items of the runs of these steps.
--
-- Returns  one JSON array in the steps' order, null where a run has none. One value, so that a client parses it once.
-- Cost     one index probe a step.
-- Blocks   never.
-- Fencing  none needed: items never change.
create or replace function leasehold.items_of(p_steps bigint[])
returns jsonb language plpgsql
set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    return (select jsonb_agg((select p.item from leasehold.payload p where p.run_id = u.step_id >> 10) order by u.ord)
              from unnest(p_steps) with ordinality u(step_id, ord));
end
$$;
