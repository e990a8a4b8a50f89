-- pause: nothing of this kind, source or group is claimed, no seat of this limit taken, until then. What is leased goes on to its end.
--
-- p_for_s is how long from now, p_until a time; both null: until it is resumed. A claim that is on its way to a lane
-- while it is paused may still take from it.
--
-- Returns  until when (infinity: until it is resumed).
-- Cost     one upsert, one event.
-- Blocks   another pause or resume of the same thing.
-- Fencing  none needed: sent again it moves the end. LS004: there is no such group or limit. LS010: the time has passed.
create or replace function leasehold.pause(
    p_what text, p_name text, p_for_s double precision, p_until timestamptz, p_by text, p_why text)
returns timestamptz language plpgsql as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_until constant timestamptz := coalesce(p_until, v_now + make_interval(secs => p_for_s), 'infinity');
    v_group_id constant bigint := case when p_what = 'group' then p_name::bigint end;
begin
    if v_until <= v_now then
        raise exception using errcode = 'LS010', message = format('%s has passed; it is %s', p_until, v_now),
            hint = 'Give a time to come, or resume what is paused.';
    end if;
    if p_what = 'group' and not exists (select from leasehold.run_group g where g.group_id = v_group_id) then
        raise exception using errcode = 'LS004', message = format('there is no group %s', p_name),
            hint = 'Run `leasehold group list`.';
    end if;
    if p_what = 'limit' and not exists (select from leasehold.resource r where r.key = p_name) then
        raise exception using errcode = 'LS004', message = format('there is no limit or lock %s', p_name),
            hint = 'Run `leasehold limit list`.';
    end if;
    delete from leasehold.pause p where p.until <= v_now and (p.what, p.name) <> (p_what, p_name);
    insert into leasehold.pause (what, name, until, since, by_whom, why)
    values (p_what, p_name, v_until, v_now, p_by, p_why)
    on conflict (what, name) do update
       set until = excluded.until, since = excluded.since, by_whom = excluded.by_whom, why = excluded.why;
    insert into leasehold.event (name, group_id, at, data)
    values ('paused', v_group_id, v_now,
            jsonb_build_object('what', p_what, 'name', p_name, 'until', v_until, 'by', p_by, 'why', p_why));
    return v_until;
end
$$;
