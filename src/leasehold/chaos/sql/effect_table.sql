-- No key and no constraint: what is written twice must be able to show.
create schema if not exists leasehold_chaos;
create table if not exists leasehold_chaos.effect (
    step_id  bigint not null,
    token    bigint not null,
    n        bigint not null,
    value    text not null
);
create index if not exists effect_step_ix on leasehold_chaos.effect (step_id)
