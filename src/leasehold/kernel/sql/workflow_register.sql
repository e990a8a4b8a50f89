-- workflow_register: store a workflow's definition and its hooks, once per content.
--
-- p_steps is a JSON array of {kind, children: [ix...], attempts_max, backoff_s, backoff_max_s, breaker_after}, its order
-- giving ix; breaker_after may be missing.
--
-- p_hooks is one of {name, on: [event...], call, timeout_s, attempts_max, backoff_s, backoff_max_s}; p_events are the
-- events of steps that are written besides those that hooks name.
--
-- A workflow has one first step (index 0) and one last; children come later in the list than their parents.
--
-- Returns  the workflow_id of this very content; a changed definition gets a new one, so queued runs keep theirs.
-- Cost     one probe when it is known.
-- Blocks   briefly when two processes register the same new definition.
-- Fencing  none needed.
create or replace function leasehold.workflow_register(
    p_name text, p_steps jsonb, p_hooks jsonb default '[]', p_events text[] default '{}')
returns bigint language plpgsql as $$
declare
    v_digest constant bytea := sha256(convert_to(
        p_name || ' ' || p_steps::text
        || case when p_hooks = '[]' and p_events = '{}' then '' else ' ' || p_hooks::text || ' ' || p_events::text end,
        'UTF8'));
    v_workflow_id bigint;
    v_sinks integer;
    v_roots integer;
    v_wrong text;
begin
    select w.workflow_id into v_workflow_id from leasehold.workflow w where w.digest = v_digest;
    if found then
        return v_workflow_id;
    end if;
    select count(*) into v_sinks from jsonb_array_elements(p_steps) s where jsonb_array_length(s -> 'children') = 0;
    if v_sinks <> 1 then
        raise exception using errcode = 'LS010',
            message = format('workflow %s has %s steps without children; it needs exactly one', p_name, v_sinks),
            hint = 'Let all branches join in one last step.';
    end if;
    select string_agg(format('%s -> %s', s.ord - 1, c.ix), ', ') into v_wrong
      from jsonb_array_elements(p_steps) with ordinality s(body, ord)
     cross join lateral (select x::text::integer as ix, count(*) as n
                           from jsonb_array_elements(s.body -> 'children') x group by 1) c
     where c.ix < s.ord or c.ix >= jsonb_array_length(p_steps) or c.n > 1;
    if v_wrong is not null then
        raise exception using errcode = 'LS010',
            message = format('workflow %s leads to no later step, or twice to the same one: %s', p_name, v_wrong),
            hint = 'List each step after all that it waits for.';
    end if;
    select count(*) into v_roots from generate_series(0, jsonb_array_length(p_steps) - 1) i
     where not exists (select from jsonb_array_elements(p_steps) s, jsonb_array_elements(s -> 'children') x
                        where x::text::integer = i);
    if v_roots <> 1 then
        raise exception using errcode = 'LS010',
            message = format('workflow %s has %s steps that wait for none; it needs exactly one', p_name, v_roots),
            hint = 'Let one first step fork into all branches.';
    end if;
    insert into leasehold.workflow (name, digest, linear, created_at, subscribed)
    values (p_name, v_digest,
            not exists (select from jsonb_array_elements(p_steps) s where jsonb_array_length(s -> 'children') > 1),
            leasehold.now(),
            (select array_agg(distinct e.name order by e.name)
               from (select unnest(p_events) union all
                     select o.name from jsonb_array_elements(p_hooks) h, jsonb_array_elements_text(h -> 'on') o(name)
                      where o.name ~ '^(run|step)_') e(name)))
    on conflict (digest) do nothing
    returning workflow_id into v_workflow_id;
    if v_workflow_id is null then
        return (select w.workflow_id from leasehold.workflow w where w.digest = v_digest);
    end if;
    insert into leasehold.workflow_step
        (workflow_id, ix, kind, parents, children, attempts_max, backoff_s, backoff_max_s, breaker_after)
    select v_workflow_id, s.ord - 1, s.body ->> 'kind',
           (select count(*) from jsonb_array_elements(p_steps) o, jsonb_array_elements(o -> 'children') c
             where c::text::bigint = s.ord - 1),
           array(select c::text::smallint from jsonb_array_elements(s.body -> 'children') c),
           (s.body ->> 'attempts_max')::smallint, (s.body ->> 'backoff_s')::real, (s.body ->> 'backoff_max_s')::real,
           (s.body ->> 'breaker_after')::smallint
      from jsonb_array_elements(p_steps) with ordinality s(body, ord);
    perform leasehold.hook_register(v_workflow_id, h) from jsonb_array_elements(p_hooks) h;
    return v_workflow_id;
end
$$;
