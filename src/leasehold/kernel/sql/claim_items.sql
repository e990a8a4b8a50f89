-- claim_items: claim keys (recipes, items) for one kind of work, each under the token of the step that wants it.
--
-- A claim lives exactly as long as the lease of its token: when that is finished, released or reaped, the next caller
-- takes the key over.
--
-- Returns  for each key in input order: true if it is held under the given token now; false if another living lease
--          holds it, or the given token's own lease is over.
-- Cost     one insert a key, in key order; for keys that were claimed before, one lock and one update more.
-- Blocks   briefly for another transaction that claims the same key; keys are taken in order, so nobody deadlocks.
-- Fencing  the token of a claim only ever names the lease that holds it.
create or replace function leasehold.claim_items(p_work text, p_keys bytea[], p_tokens bigint[])
returns boolean[] language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_won boolean[];
begin
    insert into leasehold.claim (work, key, token, claimed_at)
    select p_work, u.key, min(u.token), v_now
      from unnest(p_keys, p_tokens) u(key, token)
     where exists (select from leasehold.lease l where l.token = u.token)
     group by u.key order by u.key
    on conflict (work, key) do nothing;
    -- Locked first, judged after: the lease of whoever came in between must be visible to the judgement.
    perform from leasehold.claim c where c.work = p_work and c.key = any (p_keys) order by c.key for no key update;
    update leasehold.claim c set token = u.token, claimed_at = v_now
      from (select w.key, min(w.token) as token from unnest(p_keys, p_tokens) w(key, token)
             where exists (select from leasehold.lease l where l.token = w.token) group by w.key) u
     where c.work = p_work and c.key = u.key and c.token <> u.token
       and not exists (select from leasehold.lease l where l.token = c.token);
    select array_agg(c.token is not distinct from u.token
                     and exists (select from leasehold.lease l where l.token = u.token) order by u.ord) into v_won
      from unnest(p_keys, p_tokens) with ordinality u(key, token, ord)
      left join leasehold.claim c on c.work = p_work and c.key = u.key;
    return v_won;
end
$$;
