-- Every end of every step of a run, oldest first.
select o.step_id, l.kind, o.attempt, o.ended::text, o.at, o.reason, o.detail
  from leasehold.outcome o
  join leasehold.step s using (step_id)
  join leasehold.lane l using (lane_id)
 where o.step_id >= %(run)s::bigint * 1024 and o.step_id < (%(run)s::bigint + 1) * 1024
 order by o.token
