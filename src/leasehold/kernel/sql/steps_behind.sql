-- How many ready steps stand behind this resource.
select count(*) from leasehold.run_group g join leasehold.lane l using (group_id) join leasehold.ready r using (lane_id)
 where g.completed_at is null and (l.key = %(key)s or 'kind:' || l.kind = %(key)s)
