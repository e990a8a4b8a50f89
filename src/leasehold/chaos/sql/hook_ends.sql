-- Every call of a hook: hook, event, the label of its group, the item of its run, how its last attempt ended.
select h.name, e.name, g.label, p.item,
       (select o.ended::text from leasehold.outcome o where o.step_id = c.step_id order by o.token desc limit 1)
  from leasehold.hook_call c
  join leasehold.hook h on h.hook_id = c.hook_id
  join leasehold.event e on e.event_id = c.event_id
  join leasehold.run_group g on g.group_id = c.group_id
  left join leasehold.payload p on p.run_id = c.run_id
