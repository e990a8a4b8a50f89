-- The worker that holds most right now: pid and steps held; no row when none holds anything.
select h.pid, sum(cardinality(l.step_ids))::bigint
  from leasehold.lease l join leasehold.holder h using (holder_id)
 where h.kind = 'worker' and h.host = %s
 group by h.pid order by 2 desc, 1 limit 1
