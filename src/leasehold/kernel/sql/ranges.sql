-- ranges: the ranges of runs that have partitions, as the catalogue says, oldest first.
--
-- Returns  each with its size on disk in bytes, and whether it is closed: no run is drawn from it any more.
-- Cost     a few catalogue probes a range.
-- Blocks   never.
-- Fencing  none.
create or replace function leasehold.ranges()
returns table (range bigint, bytes bigint, closed boolean) language sql stable as $$
    select p.n, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint,
           (p.n + 1) << 20 <= coalesce(pg_sequence_last_value('leasehold.run_seq'::regclass), 0) + 1
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
     cross join lateral (select substring(c.relname from '_p([0-9]+)$')::bigint as n) p
     where i.inhparent in (select to_regclass('leasehold.' || t.name) from leasehold.range_tables() t)
     group by p.n order by p.n
$$;
