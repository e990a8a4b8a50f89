-- reap: end the holders whose expiry has passed, and give back what they held.
--
-- Returns  one row per holder reaped: its id and name, the steps given back, the step charged.
-- Cost     one scan of the few living holders; then as end_holder.
-- Blocks   never: a holder that somebody is renewing or reaping right now is skipped.
-- Fencing  the expiry is checked again under the holder's lock. Nobody is reaped before the server has run for one TTL
--          of that holder: after an outage every holder looks expired, and the living ones need time to say so.
create or replace function leasehold.reap(p_callers bigint[], p_limit integer)
returns table (holder_id bigint, name text, returned bigint[], charged bigint) language plpgsql as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := leasehold.now();
    v_holder record;
    v_end record;
begin
    for v_holder in
        select h.holder_id, h.name from leasehold.holder h
         where h.ended_at is null and h.expires_at < v_now and h.holder_id <> all (p_callers)
           and pg_postmaster_start_time() + h.ttl < v_now
         order by h.holder_id limit p_limit
    loop
        select e.returned, e.charged into v_end
          from leasehold.end_holder(v_holder.holder_id, null, 'its heartbeat stopped', true) e;
        if v_end.returned is not null then
            return query select v_holder.holder_id, v_holder.name, v_end.returned, v_end.charged;
        end if;
    end loop;
end
$$;
