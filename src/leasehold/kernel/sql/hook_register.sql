-- hook_register: store one hook of a workflow that is being registered, with the lane that its calls wait in.
--
-- A call is a step of a workflow with a single step, which says on which terms it is tried again; hooks on the same
-- terms share that one.
--
-- Returns  nothing.
-- Cost     three inserts, once for each version of a workflow.
-- Blocks   briefly when two processes bring the same new terms.
-- Fencing  none needed: the caller has just made the workflow.
create or replace function leasehold.hook_register(p_workflow_id bigint, p_hook jsonb)
returns void language plpgsql as $$
declare
    v_terms constant text := format('hook on terms %s %s %s', p_hook ->> 'attempts_max', p_hook ->> 'backoff_s',
                                    p_hook ->> 'backoff_max_s');
    v_digest constant bytea := sha256(convert_to(v_terms, 'UTF8'));
    v_terms_id bigint;
    v_hook_id bigint;
begin
    insert into leasehold.workflow (name, digest, linear, created_at, of_hooks)
    values (v_terms, v_digest, true, leasehold.now(), true)
    on conflict (digest) do nothing
    returning workflow_id into v_terms_id;
    if v_terms_id is not null then
        insert into leasehold.workflow_step (workflow_id, ix, kind, parents, children, attempts_max, backoff_s, backoff_max_s)
        values (v_terms_id, 0, 'hook', 0, '{}', (p_hook ->> 'attempts_max')::smallint, (p_hook ->> 'backoff_s')::real,
                (p_hook ->> 'backoff_max_s')::real);
    else
        select w.workflow_id into v_terms_id from leasehold.workflow w where w.digest = v_digest;
    end if;
    insert into leasehold.hook (workflow_id, name, events, call, timeout_s, salt)
    values (p_workflow_id, p_hook ->> 'name', array(select jsonb_array_elements_text(p_hook -> 'on')), p_hook ->> 'call',
            (p_hook ->> 'timeout_s')::double precision, left(replace(gen_random_uuid()::text, '-', ''), 12))
    returning hook_id into v_hook_id;
    insert into leasehold.lane (workflow_id, kind, stage, hook_id) values (v_terms_id, 'hook', 0, v_hook_id);
end
$$;
