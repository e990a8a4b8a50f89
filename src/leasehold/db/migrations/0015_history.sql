-- History: events in ranges that can be dropped, what has left by pruning, and when an item was stored.
--
-- Works with programs from 0002: they write events through the functions, which know; the items that they store have no
-- time of their own, and are told by their runs.

-- Events in ranges of 4,194,304, as runs are in theirs. What is there becomes the first of them.
create sequence leasehold.event_seq;
alter table leasehold.event alter column event_id drop identity;
alter table leasehold.event rename to event_first;
alter index leasehold.event_pkey rename to event_first_pkey;

create table leasehold.event (
    event_id  bigint not null default nextval('leasehold.event_seq') primary key,
    name      text not null,
    group_id  bigint,
    run_id    bigint,
    at        timestamptz not null,
    data      jsonb
) partition by range (event_id);

do $$
declare
    c_range constant bigint := 4194304;
    v_last bigint := coalesce((select max(e.event_id) from leasehold.event_first e), 0);
    v_range bigint := v_last / c_range;
begin
    perform setval('leasehold.event_seq', v_last + 1, false);
    execute format('alter table leasehold.event_first rename to event_p%s', v_range);
    execute format('alter index leasehold.event_first_pkey rename to event_p%s_pkey', v_range);
    execute format('alter table leasehold.event attach partition leasehold.event_p%s for values from (minvalue) to (%s)',
                   v_range, (v_range + 1) * c_range);
    execute format('create table leasehold.event_p%s partition of leasehold.event for values from (%s) to (%s)',
                   v_range + 1, (v_range + 1) * c_range, (v_range + 2) * c_range);
end
$$;

-- Groups of which runs have left, and how those had ended: with what is still there they add up to the group's counts.
-- tidy: nothing of it is left but this row, the group's and its completions.
create table leasehold.group_pruned (
    group_id   bigint primary key,
    at         timestamptz not null,
    succeeded  bigint not null,
    failed     bigint not null,
    cancelled  bigint not null,
    tidy       boolean not null default false
);
create index group_pruned_untidy_ix on leasehold.group_pruned (group_id) where not tidy;

-- What has left, range by range. until: the newest of what went, as far as it has a time.
create table leasehold.pruned (
    what   text not null check (what in ('runs', 'events')),
    range  bigint not null,
    at     timestamptz not null,
    gone   bigint not null,
    kept   bigint not null,
    until  timestamptz,
    primary key (what, range, at)
);

-- When it became what it is: until now only its run knew.
alter table leasehold.item add column stored_at timestamptz;
update leasehold.item i set stored_at = o.at
  from leasehold.run_outcome o
 where o.run_id = i.run_id and o.ended = 'succeeded' and i.verdict = 'stored';
