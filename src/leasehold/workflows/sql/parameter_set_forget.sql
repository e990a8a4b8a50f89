-- parameter_set_forget: remove the name of a parameter set, and the set itself when no group was opened with it.
--
-- Returns  nothing.
-- Cost     some probes.
-- Blocks   until callers that open a group with this set have committed.
-- Fencing  LS004 when there is no such name; LS005 while a group that was opened with its set is not complete. The set
--          is locked before groups are looked for, and whoever opens one locks it too, so none can slip in between.
create or replace function leasehold.parameter_set_forget(p_workflow text, p_name text)
returns void language plpgsql as $$
declare
    v_set_id bigint;
    v_open bigint;
begin
    select n.set_id into v_set_id from leasehold.parameter_name n
     where n.workflow = p_workflow and n.name = p_name for update;
    if not found then
        raise exception using errcode = 'LS004',
            message = format('workflow %s has no parameter set %s in the database', quote_literal(p_workflow), quote_literal(p_name)),
            hint = 'Run `leasehold params list`. A set that stands in a file is deleted by deleting the file.';
    end if;
    perform from leasehold.parameter_set s where s.set_id = v_set_id for update;
    select min(g.group_id) into v_open
      from leasehold.group_setting t join leasehold.run_group g on g.group_id = t.group_id
     where t.set_id = v_set_id and g.completed_at is null;
    if v_open is not null then
        raise exception using errcode = 'LS005',
            message = format('parameter set %s is in use: group %s was opened with it and is not complete', quote_literal(p_name), v_open),
            hint = format('Wait for it, or run `leasehold group cancel %s`.', v_open);
    end if;
    delete from leasehold.parameter_name n where n.workflow = p_workflow and n.name = p_name;
    delete from leasehold.parameter_set s
     where s.set_id = v_set_id
       and not exists (select from leasehold.group_setting t where t.set_id = s.set_id)
       and not exists (select from leasehold.parameter_name n where n.set_id = s.set_id);
end
$$;
