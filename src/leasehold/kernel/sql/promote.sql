-- promote: move delayed steps whose time has come into their lanes.
--
-- Returns  how many were moved, and in how many seconds the next one is due (null: none waits).
-- Cost     one range scan of delayed_ready_at_ix.
-- Blocks   never: rows that another promoter moves are skipped.
-- Fencing  a step is deleted from delayed and inserted into ready in one transaction.
create or replace function leasehold.promote(p_limit integer, out moved integer, out next_s double precision)
language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
begin
    with due as materialized (
        select d.step_id from leasehold.delayed d where d.ready_at <= v_now
         order by d.ready_at limit p_limit for update skip locked),
    gone as (
        delete from leasehold.delayed d using due where d.step_id = due.step_id
        returning d.step_id, d.lane_id, d.attempt, d.alone, d.unstarted)
    insert into leasehold.ready (lane_id, alone, position, step_id, attempt, unstarted)
    select g.lane_id, g.alone, nextval('leasehold.position_seq'), g.step_id, g.attempt, g.unstarted from gone g;
    get diagnostics moved = row_count;
    select extract(epoch from min(d.ready_at) - v_now) into next_s
      from leasehold.delayed d where d.ready_at > v_now;
end
$$;
