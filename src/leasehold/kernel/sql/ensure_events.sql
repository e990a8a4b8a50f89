-- ensure_events: make the partition of events that follows the one which is being filled.
--
-- Returns  nothing.
-- Cost     a look at the sequence and one catalogue probe; a few milliseconds once per 4,194,304 events.
-- Blocks   others that make partitions; a new table is attached, which does not block readers or writers.
-- Fencing  as ensure_partitions. Every add and every fold asks for it, so a whole range is ready at any time.
create or replace function leasehold.ensure_events()
returns void language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    c_range constant bigint := 4194304;
    v_wanted bigint := (coalesce(pg_sequence_last_value('leasehold.event_seq'::regclass), 0) + 1) / c_range + 1;
    v_range bigint;
    v_part text;
begin
    if to_regclass(format('leasehold.event_p%s', v_wanted)) is not null then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('leasehold.ensure_partitions', 0));
    for v_range in v_wanted - 1 .. v_wanted loop
        v_part := format('event_p%s', v_range);
        continue when leasehold.has_table(v_part);
        execute format('create table leasehold.%I (like leasehold.event including all)', v_part);
        execute format('alter table leasehold.event attach partition leasehold.%I for values from (%s) to (%s)',
                       v_part, v_range * c_range, (v_range + 1) * c_range);
    end loop;
end
$$;
