-- What the drill's hooks have done, under the keys of their calls.
create schema if not exists leasehold_chaos;
create table if not exists leasehold_chaos.hook_effect (
    key    text primary key,
    hook   text not null,
    event  text not null,
    label  text not null,
    n      bigint,
    calls  integer not null default 1
)
