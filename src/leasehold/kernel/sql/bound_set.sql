-- bound_set: let at most so many runs of a kind, a source or a group be open at once (null: as many as come).
--
-- What is open already stays; nothing more is added until it has become fewer.
--
-- Returns  nothing.
-- Cost     one upsert, one event.
-- Blocks   until adds that count against the same bound have committed.
-- Fencing  none needed. LS004: there is no such group.
create or replace function leasehold.bound_set(p_what text, p_name text, p_runs_max bigint, p_by text)
returns void language plpgsql as $$
declare
    v_now constant timestamptz := leasehold.now();
    v_group_id constant bigint := case when p_what = 'group' then p_name::bigint end;
begin
    if p_what = 'group' and not exists (select from leasehold.run_group g where g.group_id = v_group_id) then
        raise exception using errcode = 'LS004', message = format('there is no group %s', p_name),
            hint = 'Run `leasehold group list`.';
    end if;
    if p_runs_max is null then
        delete from leasehold.bound b where b.what = p_what and b.name = p_name;
    else
        insert into leasehold.bound (what, name, runs_max, since, by_whom)
        values (p_what, p_name, p_runs_max, v_now, p_by)
        on conflict (what, name) do update
           set runs_max = excluded.runs_max, since = excluded.since, by_whom = excluded.by_whom;
    end if;
    insert into leasehold.event (name, group_id, at, data)
    values ('bounded', v_group_id, v_now,
            jsonb_build_object('what', p_what, 'name', p_name, 'runs_max', p_runs_max, 'by', p_by));
end
$$;
