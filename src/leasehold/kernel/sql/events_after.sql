-- Events behind a position, and those among some ids that are missing so far and may have become visible since.
select e.event_id, e.name, e.at, e.group_id, e.run_id, e.data, coalesce(f.name, ''), coalesce(g.label, '')
  from (select a.* from (select x.* from leasehold.event x where x.event_id > %(after)s order by x.event_id limit %(limit)s) a
        union all
        select x.* from leasehold.event x where x.event_id = any (%(missing)s::bigint[])) e
  left join leasehold.run_group g on g.group_id = e.group_id
  left join leasehold.workflow f on f.workflow_id = g.workflow_id
 order by e.event_id
