-- shrink_leases: take these steps out of their leases; a lease that is left with none is deleted. Seats
-- that are no longer needed come back.
--
-- Returns  nothing.
-- Cost     one delete per finished lease; one rewrite of at most 5 kB per lease that stays.
-- Blocks   as seats_of_leases_back: the caller holds the leases' locks (held_steps).
-- Fencing  the caller has checked membership.
create or replace function leasehold.shrink_leases(p_tokens bigint[], p_steps bigint[])
returns void language plpgsql set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    with gone as (
        select g.token, count(*) as n from unnest(p_tokens) g(token) group by g.token)
    delete from leasehold.lease l using gone g
     where l.token = g.token and cardinality(l.step_ids) = g.n;
    update leasehold.lease l
       set (step_ids, attempts) = (
           select array_agg(s.step_id order by s.ord), array_agg(s.attempt order by s.ord)
             from unnest(l.step_ids, l.attempts) with ordinality s(step_id, attempt, ord)
            where s.step_id not in (select g.step_id from unnest(p_steps) g(step_id)))
     where l.token = any (p_tokens);
    if exists (select from leasehold.seat s
                where s.token = any (p_tokens) and s.leased and s.holder_id is not null) then
        perform leasehold.seats_of_leases_back(p_tokens);
    end if;
end
$$;
