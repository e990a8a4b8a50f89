-- Lanes of the given kinds, of groups that are open, that have something ready and are not paused.
select l.lane_id, l.kind, l.group_id, l.stage, l.weight, l.priority
  from leasehold.run_group g
  join leasehold.lane l on l.group_id = g.group_id
 where g.completed_at is null and l.kind = any (%s)
   and (l.paused_until is null or l.paused_until <= leasehold.now())
   and exists (select from leasehold.ready r where r.lane_id = l.lane_id)
 order by l.lane_id
