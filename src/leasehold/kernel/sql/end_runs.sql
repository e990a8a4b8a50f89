-- end_runs: record how runs ended, cancel what still waits in them, and count them for their groups.
--
-- p_lanes names for each run any lane of its group. The caller has locked runs that end without success (lock_runs).
--
-- Returns  nothing. A run that has ended already (and was not reopened) is left as it is and not counted again.
-- Cost     one insert a run, one delta a group, one event a run.
-- Blocks   run outcomes in run order.
-- Fencing  the unique row (run, round) lets a run end once a round.
create or replace function leasehold.end_runs(p_runs bigint[], p_ends leasehold.ending[], p_lanes bigint[])
returns void language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_broken bigint[];
begin
    if p_ends && '{failed,cancelled}'::leasehold.ending[] then
        select array_agg(r.run_id order by r.run_id) into v_broken
          from unnest(p_runs, p_ends) r(run_id, ended) where r.ended <> 'succeeded';
        perform leasehold.sweep_runs(v_broken, 'run ended');
    end if;
    with ended as (
        insert into leasehold.run_outcome (run_id, round, ended, at)
        select r.run_id, g.round, r.ended, v_now
          from unnest(p_runs, p_ends, p_lanes) r(run_id, ended, lane_id)
          join leasehold.lane l on l.lane_id = r.lane_id
          join leasehold.run_group g on g.group_id = l.group_id
         order by r.run_id
        on conflict (run_id, round) do nothing
        returning run_id, ended),
    told as materialized (
        select e.run_id, e.ended, l.group_id
          from ended e
          join unnest(p_runs, p_lanes) r(run_id, lane_id) on r.run_id = e.run_id
          join leasehold.lane l on l.lane_id = r.lane_id),
    counted as (
        insert into leasehold.group_delta (group_id, succeeded, failed, cancelled)
        select t.group_id, count(*) filter (where t.ended = 'succeeded'), count(*) filter (where t.ended = 'failed'),
               count(*) filter (where t.ended = 'cancelled')
          from told t group by t.group_id)
    insert into leasehold.event (name, group_id, run_id, at)
    select case when t.ended = 'failed' then 'run_failed' else 'run_end' end, t.group_id, t.run_id, v_now
      from told t order by t.run_id;
end
$$;
