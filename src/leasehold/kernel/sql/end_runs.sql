-- end_runs: record how runs ended, cancel what still waits in them, and count them for their groups.
--
-- p_lanes names for each run any lane of its group; what has a lane of no group (a hook's call) is no run, and is left
-- out. The caller has locked runs that end without success (lock_runs).
--
-- Returns  nothing. A run that has ended already (and was not reopened) is left as it is and not counted again.
-- Cost     one insert a run, one delta a group, one event a run: 4.5 µs of the server's time a run. Where all runs are of
--          one lane, as in most pages, what was inserted is told as it is; a join that finds each run's group again costs
--          0.9 µs more, and looking up group and round for each run while inserting cost 1.1 µs on top of that.
-- Blocks   run outcomes in run order.
-- Fencing  the unique row (run, round) lets a run end once a round.
create or replace function leasehold.end_runs(p_runs bigint[], p_ends leasehold.ending[], p_lanes bigint[])
returns void language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_broken bigint[];
    v_group bigint;
    v_round integer;
    v_subscribed boolean;
    v_told record;
begin
    if p_ends && '{failed,cancelled}'::leasehold.ending[] then
        select array_agg(r.run_id order by r.run_id) into v_broken
          from unnest(p_runs, p_ends) r(run_id, ended) where r.ended <> 'succeeded';
        perform leasehold.sweep_runs(v_broken, 'run ended');
    end if;
    if p_lanes = array_fill(p_lanes[1], array[cardinality(p_lanes)]) then
        select g.group_id, g.round, l.subscribed is not null into v_group, v_round, v_subscribed
          from leasehold.lane l join leasehold.run_group g on g.group_id = l.group_id where l.lane_id = p_lanes[1];
        if v_group is null then
            return;
        end if;
    end if;
    if not v_subscribed then
        with ended as (
            insert into leasehold.run_outcome (run_id, round, ended, at)
            select r.run_id, v_round, r.ended, v_now from unnest(p_runs, p_ends) r(run_id, ended)
             order by r.run_id
            on conflict (run_id, round) do nothing
            returning run_id, ended),
        counted as (
            insert into leasehold.group_delta (group_id, succeeded, failed, cancelled)
            select v_group, count(*) filter (where e.ended = 'succeeded'), count(*) filter (where e.ended = 'failed'),
                   count(*) filter (where e.ended = 'cancelled')
              from ended e having count(*) > 0)
        insert into leasehold.event (name, group_id, run_id, at)
        select case when e.ended = 'failed' then 'run_failed' else 'run_end' end, v_group, e.run_id, v_now
          from ended e order by e.run_id;
        return;
    end if;
    with place as materialized (  -- few lanes, so that none is looked up for each run
        select l.lane_id, l.group_id, g.round, l.subscribed is not null as subscribed
          from (select distinct x.lane_id from unnest(p_lanes) x(lane_id)) d
          join leasehold.lane l on l.lane_id = d.lane_id
          join leasehold.run_group g on g.group_id = l.group_id),
    given as materialized (
        select r.run_id, r.ended, p.group_id, p.round, p.subscribed
          from unnest(p_runs, p_ends, p_lanes) r(run_id, ended, lane_id)
          join place p on p.lane_id = r.lane_id),
    ended as (
        insert into leasehold.run_outcome (run_id, round, ended, at)
        select g.run_id, g.round, g.ended, v_now from given g
         order by g.run_id
        on conflict (run_id, round) do nothing
        returning run_id),
    told as materialized (
        select g.run_id, g.ended, g.group_id, g.subscribed,
               case when g.ended = 'failed' then 'run_failed' else 'run_end' end as name
          from ended e join given g on g.run_id = e.run_id),
    counted as (
        insert into leasehold.group_delta (group_id, succeeded, failed, cancelled)
        select t.group_id, count(*) filter (where t.ended = 'succeeded'), count(*) filter (where t.ended = 'failed'),
               count(*) filter (where t.ended = 'cancelled')
          from told t group by t.group_id),
    written as (
        insert into leasehold.event (name, group_id, run_id, at)
        select t.name, t.group_id, t.run_id, v_now from told t where not t.subscribed order by t.run_id)
    select array_agg(t.name order by t.run_id) as names, array_agg(t.group_id order by t.run_id) as groups,
           array_agg(t.run_id order by t.run_id) as runs,
           array_agg(jsonb_build_object('ended', t.ended) order by t.run_id) as datas
      into v_told from told t where t.subscribed;
    if v_told.names is not null then
        perform leasehold.tell(v_told.names, v_told.groups, v_told.runs, v_told.datas);
    end if;
end
$$;
