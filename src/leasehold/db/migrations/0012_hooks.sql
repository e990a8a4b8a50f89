-- Hooks: what a workflow wants called when something happens, as steps of kind `hook` that belong to no group.
--
-- Works with programs from 0002: they make the calls, as the functions do, and leave them to newer workers.

-- of_hooks: it only says on which terms hooks are tried again; nobody submits to it.
-- subscribed: events of its runs and steps that a hook, or its author, wants told; null: none.
alter table leasehold.workflow
    add column of_hooks    boolean not null default false,
    add column subscribed  text[] check (cardinality(subscribed) > 0);

-- A version of a workflow has its hooks for ever: an edited one is another version. salt: makes the keys of its calls
-- unlike those of any other database.
create table leasehold.hook (
    hook_id      bigint generated always as identity primary key,
    workflow_id  bigint not null references leasehold.workflow,
    name         text not null check (name ~ '^[a-z][a-z0-9_.-]{0,62}$'),
    events       text[] not null check (cardinality(events) > 0 and events <@ '{group_start,group_end,run_start,run_end,run_failed,step_start,step_end,step_failed}'),
    call         text not null check (call <> ''),
    timeout_s    double precision not null check (timeout_s > 0 and timeout_s <= 86400),
    salt         text not null,
    unique (workflow_id, name)
);

-- The steps of a hook wait in a lane of its own. A lane is a group's or a hook's.
alter table leasehold.lane
    alter column group_id drop not null,
    add column hook_id     bigint references leasehold.hook,
    add column subscribed  text[],
    drop constraint lane_group_id_kind_key_key,
    add constraint lane_once unique nulls not distinct (group_id, kind, key, hook_id),
    add constraint lane_of_group_or_hook check ((group_id is null) = (hook_id is not null));
create unique index lane_hook_ix on leasehold.lane (hook_id) where hook_id is not null;

comment on column leasehold.lane.subscribed is 'Events of its runs and steps that somebody wants told; null: none.';

-- What a hook is called for, once for each event: the step that does it. Its history is that step's outcomes.
create table leasehold.hook_call (
    step_id   bigint primary key,
    hook_id   bigint not null references leasehold.hook,
    event_id  bigint not null,
    group_id  bigint not null,
    run_id    bigint,
    unique (hook_id, event_id)
);
create index hook_call_order_ix on leasehold.hook_call (group_id, hook_id, run_id, event_id);

-- It takes the hooks and subscriptions too, with defaults: a program of an earlier release finds the new one.
drop function if exists leasehold.workflow_register(text, jsonb);
