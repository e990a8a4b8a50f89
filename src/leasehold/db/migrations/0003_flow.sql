-- Flow: whose work a group is, how much failure it bears, and what is paused.
--
-- Works with programs from 0002: their workers do not heed pauses, and are otherwise as before.

-- source: a name for whoever's work it is; groups of one source share its part of the workers. Empty: its own.
-- failures_max, failures_max_percent: how many failed runs a round bears and still counts as succeeded; none without.
alter table leasehold.run_group
    add column source                text not null default '',
    add column failures_max          bigint check (failures_max >= 0),
    add column failures_max_percent  double precision check (failures_max_percent between 0 and 100),
    add constraint run_group_one_tolerance check (failures_max is null or failures_max_percent is null);

alter table leasehold.group_completion
    add column ended leasehold.ending check (ended in ('succeeded', 'failed', 'cancelled'));

create table leasehold.pause (
    what     text not null check (what in ('kind', 'source', 'group')),
    name     text not null check (name <> ''),
    until    timestamptz not null,
    since    timestamptz not null,
    by_whom  text not null,
    why      text not null,
    primary key (what, name)
);

-- A pause of a kind or a source belongs to no group.
alter table leasehold.event alter column group_id drop not null;

comment on column leasehold.lane.paused_until is
    'Only workers of earlier releases look at it; pauses stand in leasehold.pause.';

-- It takes more arguments now, with defaults: a worker of an earlier release finds the new one.
drop function if exists leasehold.group_open(bigint, text, text, integer, integer);
