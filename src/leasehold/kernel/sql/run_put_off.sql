-- run_put_off: let what waits in these runs (ready, delayed) wait until then. What is leased, blocked or ended is not.
--
-- Returns  how many steps were put off.
-- Cost     two index range scans a run.
-- Blocks   as lock_runs; a ready step that is being claimed is skipped, and counts as leased.
-- Fencing  the runs are locked, so that no step comes to wait in a run that is ending. Not an attempt.
create or replace function leasehold.run_put_off(p_runs bigint[], p_delay_s double precision, p_why text)
returns integer language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_until constant timestamptz := leasehold.now() + make_interval(secs => p_delay_s);
    v_n integer;
    v_more integer;
begin
    perform leasehold.lock_runs(p_runs, null, null);
    with waiting as materialized (
        select d.step_id from unnest(p_runs) r(run_id)
          join leasehold.delayed d on d.step_id >= r.run_id * 1024 and d.step_id < (r.run_id + 1) * 1024
         order by d.step_id for update of d)
    update leasehold.delayed d set ready_at = v_until, why = p_why, wait_key = null
      from waiting w where d.step_id = w.step_id;
    get diagnostics v_n = row_count;
    with waiting as materialized (
        select y.step_id from unnest(p_runs) r(run_id)
          join leasehold.ready y on y.step_id >= r.run_id * 1024 and y.step_id < (r.run_id + 1) * 1024
         order by y.step_id for update of y skip locked),
    gone as (
        delete from leasehold.ready y using waiting w where y.step_id = w.step_id
        returning y.step_id, y.lane_id, y.attempt, y.alone, y.unstarted)
    insert into leasehold.delayed (step_id, lane_id, ready_at, attempt, alone, why, unstarted)
    select g.step_id, g.lane_id, v_until, g.attempt, g.alone, p_why, g.unstarted from gone g;
    get diagnostics v_more = row_count;
    return v_n + v_more;
end
$$;
