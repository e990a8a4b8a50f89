-- The worker on this host that is furthest in its workflow right now: pid and steps held; no row when none holds any.
select h.pid, sum(cardinality(l.step_ids))::bigint
  from leasehold.lease l
  join leasehold.holder h using (holder_id)
  join leasehold.lane n using (lane_id)
 where h.kind = 'worker' and h.host = %s and h.ended_at is null
 group by h.pid order by min(n.stage) desc, 2 desc, 1 limit 1
