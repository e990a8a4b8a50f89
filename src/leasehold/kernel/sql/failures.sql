-- What failed in these groups and was not retried: how many runs by kind, reason and fingerprint, most first, with the
-- newest of each as an example.
with failed as materialized (
    select o.run_id from leasehold.group_span s
      join leasehold.run_outcome o on o.run_id between s.first_run and s.last_run
     where s.group_id = any (%s) and o.ended = 'failed' and not o.reopened),
last as (
    select distinct on (o.step_id) o.step_id, o.ended, o.reason, o.detail, o.token
      from failed f
      join leasehold.outcome o on o.step_id >= f.run_id * 1024 and o.step_id < (f.run_id + 1) * 1024
     order by o.step_id, o.token desc)
select l.kind, coalesce(x.reason, ''), leasehold.fingerprint(x.reason, x.detail), count(*),
       (array_agg(x.step_id order by x.token desc))[1], (array_agg(coalesce(x.detail, '') order by x.token desc))[1]
  from last x
  join leasehold.step s using (step_id)
  join leasehold.lane l on l.lane_id = s.lane_id
 where x.ended = 'failed'
 group by 1, 2, 3
 order by 4 desc, 1, 2, 3
