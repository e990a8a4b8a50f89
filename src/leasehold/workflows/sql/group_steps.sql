-- What each step of a group is worked with: place, name, workflow, method, configuration, parameters, parents' places.
select w.ix, c.step, s.workflow, c.method, c.config, c.parameters,
       array(select p.ix from leasehold.workflow_step p
              where p.workflow_id = w.workflow_id and w.ix = any (p.children) order by p.ix)
  from leasehold.group_setting t
  join leasehold.parameter_set s on s.set_id = t.set_id
  join leasehold.run_group g on g.group_id = t.group_id
  join leasehold.workflow_step w on w.workflow_id = g.workflow_id
  join leasehold.step_config c on c.config = s.configs[w.ix + 1]
 where t.group_id = %s
 order by w.ix
