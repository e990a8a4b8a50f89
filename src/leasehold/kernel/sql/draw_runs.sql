-- draw_runs: draw p_n run ids that follow one another without a gap.
--
-- Returns  the first of them. Ids that a rolled-back caller drew are not used again.
-- Cost     0.05 ms: a sub-transaction, and two calls of the sequence.
-- Blocks   other callers for that long, and not until the caller's transaction ends: adding to one group does not wait
--          for a transaction that adds to another one.
-- Fencing  drawing and moving on happen under one lock. It goes with the sub-transaction, which is rolled back on
--          purpose, also when the call is cancelled half-way; what a sequence has given out is never rolled back. Who
--          draws later logs later, so no committed run can lose its ids to a crash.
create or replace function leasehold.draw_runs(p_n bigint)
returns bigint language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    v_first bigint;
begin
    begin
        perform pg_advisory_xact_lock(hashtextextended('leasehold.run_seq', 0));
        v_first := nextval('leasehold.run_seq');
        perform setval('leasehold.run_seq', v_first + p_n - 1);
        raise exception using errcode = 'LX001', message = 'drawn';
    exception when sqlstate 'LX001' then
        return v_first;
    end;
end
$$;
