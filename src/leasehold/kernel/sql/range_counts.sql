-- What pruning a range would do: how many runs there are, go, are live, and which groups keep the most of the others.
with runs as materialized (
    select * from leasehold.range_runs(%(range)s, %(older)s, %(keep_failed)s, %(needed)s::bigint[])),
keeping as (
    select r.group_id, count(*) as n from runs r where not r.goes group by r.group_id order by 2 desc, 1 limit 3)
select count(*), count(*) filter (where r.goes), count(*) filter (where r.live),
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'group_id', k.group_id, 'label', g.label, 'runs', k.n,
                   'why', case when g.completed_at is null and g.sealed_at is null then 'not sealed'
                               when g.completed_at is null then 'not complete'
                               when g.completed_at >= leasehold.now() - make_interval(secs => %(older)s) then 'too young'
                               else 'runs that something still tells' end) order by k.n desc), '[]')
          from keeping k left join leasehold.run_group g using (group_id))
  from runs r
