-- A call of the same hook for an earlier event of the same run, or of the group itself, that has not ended: it goes
-- first; and the seconds until it is due, when it waits for a time.
with mine as (select * from leasehold.hook_call c where c.step_id = %s),
before as (
    select c.step_id from mine m
      join leasehold.hook_call c on c.group_id = m.group_id and c.hook_id = m.hook_id and c.run_id = m.run_id
     where c.event_id < m.event_id
    union all
    select c.step_id from mine m
      join leasehold.hook_call c on c.group_id = m.group_id and c.hook_id = m.hook_id and c.run_id is null
     where m.run_id is null and c.event_id < m.event_id)
select b.step_id, coalesce(extract(epoch from d.ready_at - leasehold.now()), 0)::float8
  from before b
  left join leasehold.delayed d using (step_id)
 where not exists (select from leasehold.outcome o where o.step_id = b.step_id
                      and o.ended in ('succeeded', 'failed', 'cancelled')
                      and not exists (select from leasehold.outcome x where x.step_id = b.step_id and x.token > o.token))
 order by b.step_id limit 1
