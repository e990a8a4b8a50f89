-- resource_open: make sure that a resource of this key is there; a new one has one seat.
--
-- Returns  nothing.
-- Cost     one probe when it is known.
-- Blocks   briefly when two callers bring the same new key.
-- Fencing  none needed. A kind's share is a limit that somebody sets: it does not come into being by being asked for.
create or replace function leasehold.resource_open(p_key text)
returns void language plpgsql as $$
declare
    v_now constant timestamptz := leasehold.now();
begin
    if exists (select from leasehold.resource r where r.key = p_key) then
        return;
    end if;
    if p_key like 'kind:%' then
        raise exception using errcode = 'LS004', message = format('there is no limit %s', p_key),
            hint = format('Set one: leasehold limit set %s 4', p_key);
    end if;
    insert into leasehold.resource (key, seats, per, created_at) values (p_key, 1, 'page', v_now)
    on conflict do nothing;
    if found then
        insert into leasehold.seat (key, ix, since) values (p_key, 1, v_now);
    end if;
end
$$;
