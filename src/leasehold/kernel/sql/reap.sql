-- reap: end the holders whose expiry has passed, and give back what they held.
--
-- Returns  one row per holder reaped: its id and name, the steps given back, the step charged.
-- Cost     one scan of the few living holders; then as end_holders, for all of them at once.
-- Blocks   never for a holder: one that somebody is renewing or reaping right now is skipped; then as end_holders.
-- Fencing  the expiry is read again under the holder's lock. Nobody is reaped before the server has run for one TTL
--          of that holder: after an outage every holder looks expired, and the living ones need time to say so.
create or replace function leasehold.reap(p_callers bigint[], p_limit integer)
returns table (holder_id bigint, name text, returned bigint[], charged bigint)
language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    v_now timestamptz := leasehold.now();
    v_holders bigint[];
begin
    v_holders := array(
        select h.holder_id from leasehold.holder h
         where h.ended_at is null and h.expires_at < v_now and h.holder_id <> all (p_callers)
           and pg_postmaster_start_time() + h.ttl < v_now
         order by h.holder_id limit p_limit for update skip locked);
    v_now := leasehold.now();
    v_holders := array(
        select h.holder_id from leasehold.holder h
         where h.holder_id = any (v_holders) and h.ended_at is null and h.expires_at < v_now);
    if cardinality(v_holders) > 0 then
        return query
        select e.holder_id, h.name, e.returned, e.charged
          from leasehold.end_holders(v_holders, null, null, 'its heartbeat stopped') e
          join leasehold.holder h on h.holder_id = e.holder_id;
    end if;
end
$$;
