-- claim_items: claim keys (recipes, items) for one kind of work, each under the token of the step that wants it.
--
-- A claim lives exactly as long as the lease of its token: when that is finished, released or reaped, the next caller
-- takes the key over.
--
-- Returns  for each key in input order: true if it is held under the given token now, false if a living lease holds it.
-- Cost     one insert a key, in key order.
-- Blocks   briefly for another transaction that claims the same key; keys are taken in order, so nobody deadlocks.
-- Fencing  the token of a claim only ever names the lease that holds it.
create or replace function leasehold.claim_items(p_work text, p_keys bytea[], p_tokens bigint[])
returns boolean[] language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_won boolean[];
begin
    insert into leasehold.claim as c (work, key, token, claimed_at)
    select p_work, u.key, min(u.token), v_now
      from unnest(p_keys, p_tokens) u(key, token) group by u.key order by u.key
    on conflict (work, key) do update set token = excluded.token, claimed_at = excluded.claimed_at
     where not exists (select from leasehold.lease l where l.token = c.token);
    select array_agg(c.token = u.token order by u.ord) into v_won
      from unnest(p_keys, p_tokens) with ordinality u(key, token, ord)
      join leasehold.claim c on c.work = p_work and c.key = u.key;
    return v_won;
end
$$;
