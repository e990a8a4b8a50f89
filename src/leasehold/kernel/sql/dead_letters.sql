-- Steps that failed and were not retried, in groups that were not cancelled: how many by group, kind, reason and
-- fingerprint, with their runs; all, or those that meet every filter.
with failed as materialized (
    select s.group_id, o.run_id
      from leasehold.run_group g
      join leasehold.group_span s using (group_id)
      join leasehold.run_outcome o on o.run_id between s.first_run and s.last_run
     where o.ended = 'failed' and not o.reopened and g.cancelled_at is null
       and (%(group)s::bigint is null or g.group_id = %(group)s)
       and (%(steps)s::bigint[] is null or o.run_id = any (array(select x >> 10 from unnest(%(steps)s::bigint[]) x)))),
last as (
    select distinct on (o.step_id) f.group_id, o.step_id, o.ended, coalesce(o.reason, '') as reason,
           leasehold.fingerprint(o.reason, o.detail) as fingerprint
      from failed f
      join leasehold.outcome o on o.step_id >= f.run_id * 1024 and o.step_id < (f.run_id + 1) * 1024
     order by o.step_id, o.token desc)
select x.group_id, l.kind, x.reason, x.fingerprint, count(*), array_agg(x.step_id >> 10 order by x.step_id)
  from last x
  join leasehold.step s using (step_id)
  join leasehold.lane l on l.lane_id = s.lane_id
 where x.ended = 'failed'
   and (%(steps)s::bigint[] is null or x.step_id = any (%(steps)s::bigint[]))
   and (%(kind)s::text is null or l.kind = %(kind)s)
   and (%(reasons)s::text[] is null or x.reason = any (%(reasons)s::text[]))
   and (%(fingerprints)s::text[] is null or x.fingerprint = any (%(fingerprints)s::text[]))
 group by 1, 2, 3, 4
 order by 5 desc, 1, 2, 3, 4
