-- lock_runs: lock what decides whether steps of these runs may still wait, and what they wait for.
--
-- Whoever puts a step back to wait (requeue, backoff, snooze) and whoever ends a run early lock the run's row first, so
-- that a step never comes to wait in a run that is ending. Everything is locked here, in one pass, before anything is
-- written: run rows by run, then blocked rows by step: all that wait in p_ending, and p_children.
--
-- Returns  nothing.
-- Cost     one index probe a run, one a blocked row. Pages of plain successes in chains never come here.
-- Blocks   until others that end the same runs, or release the same steps, have committed.
-- Fencing  none: what was read before this must be read again.
create or replace function leasehold.lock_runs(p_runs bigint[], p_ending bigint[], p_children bigint[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
begin
    if cardinality(p_runs) > 0 then
        perform from leasehold.run r where r.run_id = any (p_runs) order by r.run_id for update;
    end if;
    if cardinality(p_ending) > 0 then
        p_children := p_children || array(
            select b.step_id from unnest(p_ending) r(run_id)
              join leasehold.blocked b on b.step_id >= r.run_id * 1024 and b.step_id < (r.run_id + 1) * 1024);
    end if;
    if cardinality(p_children) > 0 then
        perform from leasehold.blocked b
          where b.step_id = any (p_children) order by b.step_id for no key update;
    end if;
end
$$;
