-- The kernel's tables: where a step is, who holds it, how it ended.
--
-- A step stands in exactly one of blocked, delayed, ready, lease, or in none and its newest outcome is final. The step
-- row itself never changes. A step's id is its run's id and its place in the workflow: step_id = run_id * 1024 + ix, so
-- the steps of a run are contiguous, sweeping a run needs no scan, and a finish finds a step's run without a look-up.

create table leasehold.holder (
    holder_id     bigint generated always as identity primary key,
    kind          text not null check (kind in ('worker', 'cli', 'web', 'hook', 'sql')),
    name          text not null,
    host          text not null,
    pid           integer not null,
    ttl           interval not null check (ttl > interval '0'),
    started_at    timestamptz not null,
    heartbeat_at  timestamptz not null,
    expires_at    timestamptz not null,
    claim_no      bigint not null default 0,
    ended_at      timestamptz,
    end_reason    text check (end_reason in ('left', 'reaped')),
    check ((ended_at is null) = (end_reason is null))
) with (fillfactor = 50);

-- Not on expires_at: a heartbeat then touches no index.
create index holder_living_ix on leasehold.holder (holder_id) where ended_at is null;

create table leasehold.workflow (
    workflow_id  bigint generated always as identity primary key,
    name         text not null,
    digest       bytea not null unique,
    linear       boolean not null,
    created_at   timestamptz not null
);

create table leasehold.workflow_step (
    workflow_id    bigint not null references leasehold.workflow,
    ix             smallint not null check (ix between 0 and 1023),
    kind           text not null check (kind <> ''),
    parents        smallint not null,
    children       smallint[] not null,
    attempts_max   smallint not null check (attempts_max between 1 and 1000),
    backoff_s      real not null check (backoff_s >= 0),
    backoff_max_s  real not null check (backoff_max_s >= backoff_s),
    primary key (workflow_id, ix)
);

create table leasehold.run_group (
    group_id         bigint generated always as identity primary key,
    workflow_id      bigint not null references leasehold.workflow,
    label            text not null default '',
    idempotency_key  text unique,
    created_at       timestamptz not null,
    sealed_at        timestamptz,
    cancelled_at     timestamptz,
    completed_at     timestamptz,
    round            integer not null default 1,
    added            bigint not null default 0,
    succeeded        bigint not null default 0 check (succeeded >= 0),
    failed           bigint not null default 0 check (failed >= 0),
    cancelled        bigint not null default 0 check (cancelled >= 0),
    check (succeeded + failed + cancelled <= added)
) with (fillfactor = 50);

create index run_group_open_ix on leasehold.run_group (group_id) where completed_at is null;

create table leasehold.group_completion (
    group_id   bigint not null references leasehold.run_group,
    round      integer not null,
    at         timestamptz not null,
    succeeded  bigint not null,
    failed     bigint not null,
    cancelled  bigint not null,
    primary key (group_id, round)
);

-- The runs of a group stand in a few contiguous spans, one for each page that was added. A page may have a name, so
-- that sending it again adds nothing.
create table leasehold.group_span (
    group_id   bigint not null references leasehold.run_group,
    first_run  bigint not null,
    last_run   bigint not null check (last_run >= first_run),
    page       text,
    primary key (group_id, first_run),
    unique (group_id, page)
);

create table leasehold.group_delta (
    group_id   bigint not null,
    succeeded  integer not null,
    failed     integer not null,
    cancelled  integer not null
);
create index group_delta_ix on leasehold.group_delta (group_id);

create table leasehold.lane (
    lane_id       bigint generated always as identity primary key,
    group_id      bigint not null references leasehold.run_group,
    workflow_id   bigint not null,
    kind          text not null,
    key           text,
    stage         smallint not null,
    weight        smallint not null default 1 check (weight > 0),
    priority      smallint not null default 0,
    paused_until  timestamptz,
    unique nulls not distinct (group_id, kind, key)
);

create sequence leasehold.run_seq;
create sequence leasehold.token_seq;
create sequence leasehold.position_seq;

create table leasehold.run (
    run_id    bigint not null primary key,
    group_id  bigint not null
) partition by range (run_id);

create table leasehold.payload (
    run_id  bigint not null primary key,
    item    jsonb not null
) partition by range (run_id);

create table leasehold.step (
    step_id  bigint not null primary key,
    lane_id  bigint not null
) partition by range (step_id);

create type leasehold.ending as enum ('succeeded', 'error', 'failed', 'cancelled', 'snoozed', 'reopened');

create table leasehold.outcome (
    step_id  bigint not null,
    token    bigint not null,
    attempt  smallint not null,
    ended    leasehold.ending not null,
    at       timestamptz not null,
    reason   text,
    detail   text,
    primary key (step_id, token)
) partition by range (step_id);

create table leasehold.run_outcome (
    run_id    bigint not null,
    round     integer not null,
    ended     leasehold.ending not null check (ended in ('succeeded', 'failed', 'cancelled')),
    at        timestamptz not null,
    reopened  boolean not null default false,
    primary key (run_id, round)
) partition by range (run_id);

create table leasehold.blocked (
    step_id       bigint primary key,
    lane_id       bigint not null,
    parents_left  smallint not null check (parents_left > 0)
);

create table leasehold.delayed (
    step_id   bigint primary key,
    lane_id   bigint not null,
    ready_at  timestamptz not null,
    attempt   smallint not null,
    alone     boolean not null,
    why       text not null,
    wait_key  bytea
);
create index delayed_ready_at_ix on leasehold.delayed (ready_at);
create index delayed_wait_key_ix on leasehold.delayed (wait_key) where wait_key is not null;

-- alone: to be leased only by a holder that holds nothing else; these stand apart in the key, so that a claim for
-- ordinary steps never walks over them. unstarted: nothing of its run has been claimed yet.
create table leasehold.ready (
    lane_id    bigint not null,
    alone      boolean not null,
    position   bigint not null,
    step_id    bigint not null unique,
    attempt    smallint not null,
    unstarted  boolean not null,
    primary key (lane_id, alone, position)
);

-- One row covers a page of steps of one lane. 500 ids and attempts are 5 kB: plain storage keeps them out of TOAST.
create table leasehold.lease (
    token       bigint primary key,
    holder_id   bigint not null references leasehold.holder,
    claim_no    bigint not null,
    lane_id     bigint not null,
    kind        text not null,
    alone       boolean not null,
    claimed_at  timestamptz not null,
    deadline    timestamptz not null,
    step_ids    bigint[] not null check (cardinality(step_ids) between 1 and 500),
    attempts    smallint[] not null,
    unique (holder_id, claim_no, lane_id),
    check (cardinality(step_ids) = cardinality(attempts))
);
alter table leasehold.lease alter column step_ids set storage plain;
alter table leasehold.lease alter column attempts set storage plain;

-- A claim on an item by key, for one kind of work, held for as long as the lease of its token exists.
create table leasehold.claim (
    work        text not null,
    key         bytea not null,
    token       bigint not null,
    claimed_at  timestamptz not null,
    primary key (work, key)
);

create table leasehold.event (
    event_id  bigint generated always as identity primary key,
    name      text not null,
    group_id  bigint not null,
    run_id    bigint,
    at        timestamptz not null,
    data      jsonb
);

-- Every late write that was refused: verb, the token it named, how many steps.
create table leasehold.refusal (
    refusal_id  bigint generated always as identity primary key,
    at          timestamptz not null,
    verb        text not null,
    token       bigint,
    steps       integer not null
);
