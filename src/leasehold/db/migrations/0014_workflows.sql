-- Workflows that people define: with which parameters a group is worked, what its steps gave, what they saved meanwhile.
--
-- Works with programs from 0002: they know none of these tables, and open groups that have no parameter set.

-- What one step is worked with, under the digest of all of it.
create table leasehold.step_config (
    config      bytea primary key check (length(config) = 32),
    step        text not null check (step <> ''),
    method      text not null check (method <> ''),
    parameters  jsonb not null,
    upstream    bytea[] not null
);

-- One configuration for each step of the workflow, in their order. Never changed.
create table leasehold.parameter_set (
    set_id      bigint generated always as identity primary key,
    digest      bytea not null unique check (length(digest) = 32),
    workflow    text not null check (workflow <> ''),
    configs     bytea[] not null check (cardinality(configs) > 0),
    created_at  timestamptz not null
);

create table leasehold.parameter_name (
    workflow  text not null,
    name      text not null check (name <> ''),
    set_id    bigint not null references leasehold.parameter_set,
    since     timestamptz not null,
    primary key (workflow, name)
);
create index parameter_name_set_ix on leasehold.parameter_name (set_id);

-- timeouts: seconds, one for each step; a worker that knows only a later version works by them.
create table leasehold.group_setting (
    group_id  bigint primary key references leasehold.run_group,
    set_id    bigint not null references leasehold.parameter_set,
    timeouts  real[] not null
);
create index group_setting_set_ix on leasehold.group_setting (set_id);

-- What a step gave, for the steps that wait for it. Written with its end.
create table leasehold.step_result (
    step_id  bigint not null primary key,
    result   jsonb not null
) partition by range (step_id);

-- What a step saved while it was under work, and how far it says it is; gone when it succeeds.
create table leasehold.checkpoint (
    step_id  bigint not null,
    name     text not null,
    token    bigint not null,
    value    jsonb not null,
    at       timestamptz not null,
    primary key (step_id, name)
) partition by range (step_id);

do $$
declare
    c_range constant bigint := 1048576 * 1024;
    v_range bigint;
    v_table text;
begin
    for v_range in
        select substr(c.relname, 6)::bigint from pg_class c
         where c.relnamespace = 'leasehold'::regnamespace and c.relname ~ '^run_p[0-9]+$' and c.relkind = 'r'
    loop
        foreach v_table in array array['step_result', 'checkpoint'] loop
            execute format('create table leasehold.%I partition of leasehold.%I for values from (%s) to (%s)',
                format('%s_p%s', v_table, v_range), v_table, v_range * c_range, (v_range + 1) * c_range);
        end loop;
    end loop;
end
$$;
