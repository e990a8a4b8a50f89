-- items_of: the items of the runs of these steps.
--
-- Returns  one JSON array in the steps' order, null where a run has none. One value, so that a client parses it once.
-- Cost     one index scan of the page's runs: 0.6 µs of the server's time a step, where a probe for each took 1.4. The
--          range leaves out partitions, which a list of runs does not; nested loops are off, as in held_steps.
-- Blocks   never.
-- Fencing  none needed: items never change.
create or replace function leasehold.items_of(p_steps bigint[])
returns jsonb language plpgsql
set jit = off set enable_nestloop = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_runs constant bigint[] := array(select distinct u.step_id >> 10 from unnest(p_steps) u(step_id) order by 1);
begin
    return (select jsonb_agg(p.item order by u.ord)
              from unnest(p_steps) with ordinality u(step_id, ord)
              left join (select y.run_id, y.item from leasehold.payload y
                          where y.run_id = any (v_runs)
                            and y.run_id between v_runs[1] and v_runs[cardinality(v_runs)]) p
                     on p.run_id = u.step_id >> 10);
end
$$;
