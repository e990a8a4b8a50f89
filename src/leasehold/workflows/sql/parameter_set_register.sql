-- parameter_set_register: store a parameter set and the step configurations it is made of, once per content.
--
-- p_configs is a JSON array of {config, step, method, parameters, upstream}, in the order of the workflow's steps; config
-- and upstream are digests in hex. p_name (null: none) names this set from now on.
--
-- Returns  the set_id of this very content.
-- Cost     one probe when it is known, and one more for a name.
-- Blocks   briefly when two callers bring the same new content, or move the same name. Configurations are inserted in
--          the order of their digests, so callers with overlapping sets wait in one order.
-- Fencing  none needed: nothing that is stored is ever changed but which set a name means.
create or replace function leasehold.parameter_set_register(
    p_workflow text, p_digest bytea, p_configs jsonb, p_name text default null)
returns bigint language plpgsql as $$
declare
    v_set_id bigint;
begin
    select s.set_id into v_set_id from leasehold.parameter_set s where s.digest = p_digest;
    if not found then
        insert into leasehold.step_config (config, step, method, parameters, upstream)
        select decode(c ->> 'config', 'hex'), c ->> 'step', c ->> 'method', c -> 'parameters',
               array(select decode(u, 'hex') from jsonb_array_elements_text(c -> 'upstream') u)
          from jsonb_array_elements(p_configs) c order by c ->> 'config'
        on conflict (config) do nothing;
        insert into leasehold.parameter_set (digest, workflow, configs, created_at)
        select p_digest, p_workflow, array_agg(decode(c.body ->> 'config', 'hex') order by c.ord), leasehold.now()
          from jsonb_array_elements(p_configs) with ordinality c(body, ord)
        on conflict (digest) do nothing
        returning set_id into v_set_id;
        if v_set_id is null then
            select s.set_id into v_set_id from leasehold.parameter_set s where s.digest = p_digest;
        end if;
    end if;
    if p_name is not null then
        insert into leasehold.parameter_name as n (workflow, name, set_id, since)
        values (p_workflow, p_name, v_set_id, leasehold.now())
        on conflict (workflow, name) do update set set_id = excluded.set_id, since = excluded.since
            where n.set_id <> excluded.set_id;
    end if;
    return v_set_id;
end
$$;
