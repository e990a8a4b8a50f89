-- close_ranges: begin the next range of runs, and of events, so that what has been filled so far can be pruned one day.
--
-- A range that fills by itself is closed by being full. On a small installation that takes years: there whoever prunes
-- closes it, once its first run or event is older than p_older_s seconds. Not while 24 ranges are there: something keeps
-- them, and statements would only get slower.
--
-- Returns  whether the range of runs was closed, and whether that of events; without p_do, whether they would be.
-- Cost     two index probes, and the partitions of the ranges that come.
-- Blocks   who draws run ids, for a moment.
-- Fencing  run ids are drawn under the same lock. Events are drawn without one: their range is closed only while 100,000
--          are left in it, which nobody draws between two statements.
create or replace function leasehold.close_ranges(
    p_older_s double precision, p_do boolean, out runs boolean, out events boolean)
language plpgsql as $$
declare
    c_runs constant bigint := 1048576;
    c_events constant bigint := 4194304;
    v_before constant timestamptz := leasehold.now() - make_interval(secs => p_older_s);
    v_last bigint;
    v_next bigint;
begin
    runs := false;
    events := false;
    if p_do then
        perform pg_advisory_xact_lock(hashtextextended('leasehold.run_seq', 0));
    end if;
    v_next := ((coalesce(pg_sequence_last_value('leasehold.run_seq'::regclass), 0) + 1) / c_runs + 1) * c_runs;
    if (select count(*) from leasehold.ranges()) < 24
       and coalesce((select g.created_at is null or g.created_at <= v_before
                   from leasehold.run r left join leasehold.run_group g using (group_id)
                  where r.run_id >= v_next - c_runs and r.run_id < v_next order by r.run_id limit 1), false)
    then
        runs := true;
        if p_do then
            perform leasehold.ensure_partitions(v_next);
            perform setval('leasehold.run_seq', v_next - 1);
        end if;
    end if;
    v_last := coalesce(pg_sequence_last_value('leasehold.event_seq'::regclass), 0);
    v_next := ((v_last + 1) / c_events + 1) * c_events;
    if v_next - v_last > 100000
       and coalesce((select e.at <= v_before from leasehold.event e
                      where e.event_id >= v_next - c_events and e.event_id < v_next order by e.event_id limit 1), false)
    then
        events := true;
        if p_do then
            perform setval('leasehold.event_seq', v_next - 1);
            perform leasehold.ensure_events();
        end if;
    end if;
end
$$;
