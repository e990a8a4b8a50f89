-- Results that were computed (not reused) by the runs of these groups, by step.
select a.kind, count(*)
  from leasehold.group_span s
  join leasehold.artifact a on a.step_id >= s.first_run * 1024 and a.step_id < (s.last_run + 1) * 1024
 where s.group_id = any (%s::bigint[])
 group by a.kind
