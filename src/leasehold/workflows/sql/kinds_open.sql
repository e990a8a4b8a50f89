-- Kinds that open groups of these workflows have, each with the longest timeout (seconds) that one of them gives it.
select w.kind, max(t.timeouts[w.ix + 1])
  from leasehold.group_setting t
  join leasehold.run_group g on g.group_id = t.group_id and g.completed_at is null
  join leasehold.workflow f on f.workflow_id = g.workflow_id
  join leasehold.workflow_step w on w.workflow_id = g.workflow_id
 where f.name = any (%s::text[])
 group by w.kind
