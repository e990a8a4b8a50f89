-- The last end of every step of a run: step, how, why.
select distinct on (o.step_id) o.step_id, o.ended::text, o.reason
  from leasehold.outcome o
  join leasehold.run r on r.run_id = o.step_id >> 10
 order by o.step_id, o.token desc
