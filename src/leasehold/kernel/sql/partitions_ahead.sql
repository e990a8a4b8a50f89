-- Each table that stands in ranges: the number of the range that is being filled, whether it has a partition, and whether
-- the next one has.
with wanted as (
    select t.name, (coalesce(pg_sequence_last_value('leasehold.run_seq'::regclass), 0) + 1) / 1048576 as range
      from leasehold.range_tables() t
    union all
    select 'event', (coalesce(pg_sequence_last_value('leasehold.event_seq'::regclass), 0) + 1) / 4194304),
there as (
    select c.oid::regclass, c.relname from pg_class c
     where c.relnamespace = 'leasehold'::regnamespace and c.relispartition)
select w.name, w.range,
       exists (select from there t where t.relname = w.name || '_p' || w.range),
       exists (select from there t where t.relname = w.name || '_p' || (w.range + 1))
  from wanted w order by w.name
