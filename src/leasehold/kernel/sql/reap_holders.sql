-- reap_holders: end those of these holders whose expiry has passed, and give back what they held. As reap, for somebody
-- who waits for what they hold and has no business with anybody else.
--
-- Returns  how many were ended.
-- Cost     as end_holders.
-- Blocks   never for a holder: one that somebody is renewing or reaping right now is skipped; then as end_holders.
-- Fencing  the expiry is read again under the holder's lock; nobody before the server has run for its TTL.
create or replace function leasehold.reap_holders(p_holder_ids bigint[])
returns integer language plpgsql set jit = off set enable_seqscan = off as $$
declare
    v_now timestamptz;
    v_holders bigint[];
begin
    v_holders := array(select h.holder_id from leasehold.holder h where h.holder_id = any (p_holder_ids)
                        order by h.holder_id for update skip locked);
    v_now := leasehold.now();
    v_holders := array(
        select h.holder_id from leasehold.holder h
         where h.holder_id = any (v_holders) and h.ended_at is null and h.expires_at < v_now
           and pg_postmaster_start_time() + h.ttl < v_now);
    if cardinality(v_holders) > 0 then
        perform from leasehold.end_holders(v_holders, null, null, 'its heartbeat stopped');
    end if;
    return cardinality(v_holders);
end
$$;
