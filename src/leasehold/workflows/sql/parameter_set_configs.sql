-- The configurations of a set, in the order of its steps.
select s.workflow, c.config, c.step, c.method, c.parameters, c.upstream
  from leasehold.parameter_set s
 cross join lateral unnest(s.configs) with ordinality u(config, ord)
  join leasehold.step_config c on c.config = u.config
 where s.set_id = %s
 order by u.ord
