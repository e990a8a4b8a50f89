-- held_steps: which of these (token, step) pairs are leased right now, with everything that ending them needs.
--
-- Returns  arrays in the order of the input's ordinals: ordinals, attempts and lanes of the pairs that are held.
-- Cost     1 ms for a page of 500. Nested loops are off here: both sides are unnested arrays whose sizes the planner
--          cannot know, and a nested loop over two pages of 500 compares 250,000 pairs.
-- Blocks   until other writers of the same leases have committed: the leases are locked here, in token order.
-- Fencing  this is it: membership in the lease's own list, read after the lock, is the only truth.
create or replace function leasehold.held_steps(
    p_tokens bigint[], p_steps bigint[], out ords integer[], out attempts smallint[], out lanes bigint[])
language plpgsql set jit = off set enable_nestloop = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_distinct constant bigint[] := array(select distinct t.token from unnest(p_tokens) t(token));
begin
    perform from leasehold.lease l
      where l.token = any (v_distinct) order by l.token for no key update;
    with member as materialized (  -- apart, so that the planner joins two plain sets and hashes one
        select l.token, l.lane_id, s.step_id, s.attempt
          from leasehold.lease l, unnest(l.step_ids, l.attempts) s(step_id, attempt)
         where l.token = any (v_distinct))
    select array_agg(i.ord order by i.ord), array_agg(m.attempt order by i.ord), array_agg(m.lane_id order by i.ord)
      into ords, attempts, lanes
      from unnest(p_tokens, p_steps) with ordinality i(token, step_id, ord)
      join member m on m.step_id = i.step_id and m.token = i.token;
end
$$;
