-- Results that runs of these groups computed (not reused) since a moment, by step.
select a.kind, count(*)
  from leasehold.group_span s
  join leasehold.artifact a on a.step_id >= s.first_run * 1024 and a.step_id < (s.last_run + 1) * 1024
 where s.group_id = any (%s::bigint[]) and a.created_at >= %s
 group by a.kind
