-- prune_swap: under one lock, look again, and take a range's partitions away; with p_kept, put the new ones there.
--
-- Returns  false if something has come to life since prune_range chose, and nothing was done.
-- Cost     some 20 ms under the lock, and what the live runs take to copy.
-- Blocks   who adds, finishes or retries, and who reads these tables.
-- Fencing  the tables in the order of range_tables.
create or replace function leasehold.prune_swap(p_range bigint, p_kept boolean, p_wait_ms integer)
returns boolean language plpgsql set jit = off as $$
declare
    c_first constant bigint := p_range << 20;
    c_end constant bigint := (p_range + 1) << 20;
    v_table text;
    v_factor bigint;
begin
    perform set_config('lock_timeout', p_wait_ms || 'ms', true);
    lock table only leasehold.outcome in access exclusive mode;
    perform set_config('lock_timeout', '10ms', true);
    for v_table in select t.name from leasehold.range_tables() t where t.name <> 'outcome' loop
        execute format('lock table only leasehold.%I in access exclusive mode', v_table);
    end loop;
    if exists (select from leasehold.live_runs(c_first, c_end) l(run_id)
                where not exists (select from pruning_kept x where x.run_id = l.run_id and x.live))
       or exists (select from pruning_groups p join leasehold.run_group g using (group_id) where g.round <> p.round)
    then
        return false;
    end if;
    if p_kept then
        perform leasehold.prune_copy(t.name, p_range, true) from leasehold.range_tables() t;
    end if;
    for v_table, v_factor in
        select t.name, t.factor from leasehold.range_tables() t
    loop
        execute format('alter table leasehold.%I detach partition leasehold.%I', v_table, format('%s_p%s', v_table, p_range));
        execute format('alter table leasehold.%I rename to %I', format('%s_p%s', v_table, p_range),
                       format('%s_gone%s_%s', v_table, p_range, pg_current_xact_id()));
        continue when not p_kept;
        execute format('alter table leasehold.%I rename to %I', format('%s_new%s', v_table, p_range),
                       format('%s_p%s', v_table, p_range));
        execute format('alter table leasehold.%I attach partition leasehold.%I for values from (%s) to (%s)', v_table,
                       format('%s_p%s', v_table, p_range), c_first * v_factor, c_end * v_factor);
    end loop;
    return true;
end
$$;
