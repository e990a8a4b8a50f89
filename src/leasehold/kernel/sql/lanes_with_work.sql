-- Lanes of the given kinds, of groups that are open, that have something ready and are not paused.
with paused as materialized (select p.what, p.name from leasehold.pause p where p.until > leasehold.now())
select l.lane_id, l.kind, l.group_id, l.stage, l.weight, l.priority, g.source
  from leasehold.run_group g
  join leasehold.lane l on l.group_id = g.group_id
 where g.completed_at is null and l.kind = any (%s)
   and not exists (select from paused p
                    where (p.what, p.name) in (('kind', l.kind), ('source', g.source), ('group', l.group_id::text)))
   and exists (select from leasehold.ready r where r.lane_id = l.lane_id)
 order by l.lane_id
