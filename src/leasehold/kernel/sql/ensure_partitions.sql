-- ensure_partitions: make the partitions that hold runs up to p_run_id, the next range ahead of them, and those of events.
--
-- Returns  nothing.
-- Cost     two catalogue probes while the next ranges exist; a few milliseconds once per 1,048,576 runs.
-- Blocks   others that make partitions; a new table is attached, which does not block readers or writers.
-- Fencing  none needed: a partition is made once, under an advisory lock of the transaction.
create or replace function leasehold.ensure_partitions(p_run_id bigint)
returns void language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    c_range constant bigint := 1048576;
    v_wanted bigint := p_run_id / c_range + 1;
    v_range bigint;
    v_table text;
    v_factor bigint;
    v_part text;
begin
    perform leasehold.ensure_events();
    if to_regclass(format('leasehold.run_p%s', v_wanted)) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('leasehold.ensure_partitions', 0));
    for v_range in greatest(v_wanted - 1, 0) .. v_wanted loop
        continue when leasehold.has_table(format('run_p%s', v_range));
        for v_table, v_factor in select t.name, t.factor from leasehold.range_tables() t loop
            v_part := format('%s_p%s', v_table, v_range);
            execute format('create table leasehold.%I (like leasehold.%I including all)', v_part, v_table);
            execute format('alter table leasehold.%I attach partition leasehold.%I for values from (%s) to (%s)',
                v_table, v_part, v_range * c_range * v_factor, (v_range + 1) * c_range * v_factor);
        end loop;
    end loop;
end
$$;
