-- release: give steps back unworked. Not an attempt; each goes to the end of its lane, and stays alone if it was.
--
-- Returns  how many were given back; the rest were no longer held.
-- Cost     as finish.
-- Blocks   leases in token order, then as lock_runs.
-- Fencing  as finish; what is no longer held is counted as refused.
create or replace function leasehold.release(p_tokens bigint[], p_steps bigint[])
returns integer language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_held record;
    v_alone bigint[];
    v_n integer;
begin
    select h.ords, h.attempts, h.lanes into v_held from leasehold.held_steps(p_tokens, p_steps) h;
    v_n := coalesce(cardinality(v_held.ords), 0);
    if v_n < cardinality(p_steps) then
        insert into leasehold.refusal (at, verb, token, steps)
        select leasehold.now(), 'release', u.token, count(*)
          from unnest(p_tokens, p_steps) with ordinality u(token, step_id, ord)
         where v_n = 0 or u.ord <> all (v_held.ords) group by u.token;
    end if;
    if v_n = 0 then
        return 0;
    end if;
    select array_agg(u.token order by u.ord), array_agg(u.step_id order by u.ord) into p_tokens, p_steps
      from unnest(p_tokens, p_steps) with ordinality u(token, step_id, ord) where u.ord = any (v_held.ords);
    v_alone := array(select l.token from leasehold.lease l where l.token = any (p_tokens) and l.alone);
    perform leasehold.shrink_leases(p_tokens, p_steps);
    perform leasehold.requeue(p_steps, v_held.attempts, v_held.lanes,
                              array(select u.token = any (v_alone) from unnest(p_tokens) with ordinality u(token, ord)
                                     order by u.ord));
    return v_n;
end
$$;
