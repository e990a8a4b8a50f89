-- sweep_runs: cancel every step of these runs that waits (blocked, delayed, ready); leased siblings finish by themselves.
--
-- Returns  how many steps were cancelled, each with an outcome under a new token.
-- Cost     three index range scans a run.
-- Blocks   for delayed rows, in step order, until who promotes them has committed (then they are found ready). Ready
--          ones that are being claimed are skipped: leased, they release nothing, for the run has ended.
-- Fencing  the caller has locked the runs and what is blocked in them (lock_runs), so nothing comes to wait meanwhile;
--          new tokens, so a late word about an earlier attempt never matches.
create or replace function leasehold.sweep_runs(p_runs bigint[], p_reason text)
returns bigint language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_swept bigint := 0;
    v_n bigint;
begin
    with gone as (
        delete from leasehold.blocked b using unnest(p_runs) r(run_id)
         where b.step_id >= r.run_id * 1024 and b.step_id < (r.run_id + 1) * 1024
        returning b.step_id)
    insert into leasehold.outcome (step_id, token, attempt, ended, at, reason)
    select g.step_id, nextval('leasehold.token_seq'), 0, 'cancelled', v_now, p_reason from gone g;
    get diagnostics v_n = row_count;
    v_swept := v_swept + v_n;

    with waiting as materialized (
        select d.step_id from unnest(p_runs) r(run_id)
          join leasehold.delayed d on d.step_id >= r.run_id * 1024 and d.step_id < (r.run_id + 1) * 1024
         order by d.step_id for update of d),
    gone as (
        delete from leasehold.delayed d using waiting w where d.step_id = w.step_id returning d.step_id, d.attempt)
    insert into leasehold.outcome (step_id, token, attempt, ended, at, reason)
    select g.step_id, nextval('leasehold.token_seq'), g.attempt, 'cancelled', v_now, p_reason from gone g;
    get diagnostics v_n = row_count;
    v_swept := v_swept + v_n;

    with waiting as materialized (
        select y.step_id from unnest(p_runs) r(run_id)
          join leasehold.ready y on y.step_id >= r.run_id * 1024 and y.step_id < (r.run_id + 1) * 1024
         order by y.step_id for update of y skip locked),
    gone as (
        delete from leasehold.ready y using waiting w where y.step_id = w.step_id returning y.step_id, y.attempt)
    insert into leasehold.outcome (step_id, token, attempt, ended, at, reason)
    select g.step_id, nextval('leasehold.token_seq'), g.attempt, 'cancelled', v_now, p_reason from gone g;
    get diagnostics v_n = row_count;
    return v_swept + v_n;
end
$$;
