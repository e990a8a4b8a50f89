-- resume: end a pause.
--
-- Returns  whether it was paused until now.
-- Cost     one delete, one event.
-- Blocks   another pause or resume of the same thing.
-- Fencing  none needed.
create or replace function leasehold.resume(p_what text, p_name text, p_by text)
returns boolean language plpgsql as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_until timestamptz;
begin
    delete from leasehold.pause p where p.what = p_what and p.name = p_name returning p.until into v_until;
    if v_until is null or v_until <= v_now then
        return false;
    end if;
    insert into leasehold.event (name, group_id, at, data)
    values ('resumed', case when p_what = 'group' then p_name::bigint end, v_now,
            jsonb_build_object('what', p_what, 'name', p_name, 'by', p_by));
    return true;
end
$$;
