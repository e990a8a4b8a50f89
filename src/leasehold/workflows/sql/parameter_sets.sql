-- Named sets: workflow, name, set, digest in hex, parameters by step, since when, open groups, groups at all.
select n.workflow, n.name, n.set_id, encode(s.digest, 'hex'),
       coalesce((select jsonb_object_agg(c.step, c.parameters) from leasehold.step_config c
                  where c.config = any (s.configs) and c.parameters <> '{}'), '{}'),
       n.since,
       (select count(*) from leasehold.group_setting t join leasehold.run_group g on g.group_id = t.group_id
         where t.set_id = n.set_id and g.completed_at is null),
       (select count(*) from leasehold.group_setting t where t.set_id = n.set_id)
  from leasehold.parameter_name n
  join leasehold.parameter_set s on s.set_id = n.set_id
 where %(workflow)s::text is null or n.workflow = %(workflow)s
 order by n.workflow, n.name <> 'default', n.name
