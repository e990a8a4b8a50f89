-- Lanes of the given kinds, of groups that are open and of hooks (group 0), that have something ready and are not paused. The last columns:
-- only for a probe, for the breaker of its kind is open and no probe is out; full: a resource that the lane stands
-- behind has no seat for it, or is paused.
-- Of a lane with a position, behind that: an old snapshot keeps in the index what is long gone from the lane. Order and
-- limit keep the planner to that index; for a plain exists it has read the whole table, and hashed it.
with paused as materialized (select p.what, p.name from leasehold.pause p where p.until > leasehold.now())
select l.lane_id, l.kind, coalesce(l.group_id, 0), l.stage, l.weight, l.priority, l.source, b.kind is not null,
       exists (select from leasehold.resource r
                where r.key = any (array[l.key, 'kind:' || l.kind]) and leasehold.seats_free(r.key, true) = '{}')
  from (select o.*, g.source
          from leasehold.run_group g join leasehold.lane o on o.group_id = g.group_id
         where g.completed_at is null
        union all
        select h.*, '' from leasehold.lane h where h.hook_id is not null) l
  left join unnest(%s::bigint[], %s::bigint[]) h(lane_id, position) on h.lane_id = l.lane_id
  left join leasehold.breaker b on b.kind = l.kind and b.key = coalesce(l.key, '') and b.opened_at is not null
 where l.kind = any (%s)
   and not exists (select from paused p
                    where (p.what, p.name) in (('kind', l.kind), ('source', l.source), ('group', l.group_id::text)))
   and (b.kind is null or (b.open_until <= leasehold.now()
                           and not exists (select from leasehold.lease e where e.token = b.probe_token)))
   and ((select r.position from leasehold.ready r
          where r.lane_id = l.lane_id and not r.alone and r.position > coalesce(h.position, 0)
          order by r.position limit 1) is not null
        or (select r.position from leasehold.ready r
             where r.lane_id = l.lane_id and r.alone order by r.position limit 1) is not null)
 order by l.lane_id
