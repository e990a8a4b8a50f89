-- resume: end a pause. Of a kind: its breakers too, if any is open.
--
-- Returns  whether it was paused, or held back by its breaker, until now.
-- Cost     one delete, one event.
-- Blocks   another pause or resume of the same thing.
-- Fencing  none needed.
create or replace function leasehold.resume(p_what text, p_name text, p_by text)
returns boolean language plpgsql as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_until timestamptz;
    v_closed integer := 0;
begin
    delete from leasehold.pause p where p.what = p_what and p.name = p_name returning p.until into v_until;
    if p_what = 'kind' then
        v_closed := leasehold.breaker_close(p_name, null, format('resumed by %s', p_by));
    end if;
    if v_until is null or v_until <= v_now then
        return v_closed > 0;
    end if;
    insert into leasehold.event (name, group_id, at, data)
    values ('resumed', case when p_what = 'group' then p_name::bigint end, v_now,
            jsonb_build_object('what', p_what, 'name', p_name, 'by', p_by));
    return true;
end
$$;
