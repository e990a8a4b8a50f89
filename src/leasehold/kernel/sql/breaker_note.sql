-- breaker_note: tell the breakers how steps ended; the last thing that end_steps does.
--
-- Whatever goes wrong here is a warning in the server's log: it must not hide how the steps ended.
--
-- Returns  nothing.
-- Cost     a look at a table of a few rows while nothing errs; else as breaker_count.
-- Blocks   as breaker_count.
-- Fencing  none of its own: end_steps is told only what was accepted.
create or replace function leasehold.breaker_note(
    p_steps bigint[], p_lanes bigint[], p_ends leasehold.ending[], p_reasons text[], p_details text[])
returns void language plpgsql set jit = off set enable_seqscan = off as $$
begin
    if not p_ends && '{error}' and not exists (select from leasehold.breaker b where b.streak > 0) then
        return;
    end if;
    perform leasehold.breaker_count(p_steps, p_lanes, p_ends, p_reasons, p_details);
exception when others then
    raise warning 'the breaker was not told how % steps ended: %', cardinality(p_steps), sqlerrm;
end
$$;
