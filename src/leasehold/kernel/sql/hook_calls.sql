-- Calls of hooks, newest event first, each with where it stands and how its last attempt ended.
select c.step_id, h.name, h.call, e.name, c.event_id, c.group_id, c.run_id, leasehold.hook_key(h.name, c.event_id, h.salt),
       s.state, n.attempts, t.attempts_max, e.at, o.at, o.reason, o.detail,
       case when s.state = 'delayed' then extract(epoch from d.ready_at - leasehold.now())::float8 end
  from leasehold.hook_call c
  join leasehold.hook h using (hook_id)
  join leasehold.lane l on l.hook_id = h.hook_id
  join leasehold.workflow_step t on t.workflow_id = l.workflow_id
  left join leasehold.event e on e.event_id = c.event_id
  left join leasehold.ready r on r.step_id = c.step_id
  left join leasehold.delayed d on d.step_id = c.step_id
  left join lateral (select x.* from leasehold.outcome x where x.step_id = c.step_id and x.ended <> 'reopened'
                      order by x.token desc limit 1) o on true
 cross join lateral (select case when r.step_id is not null then 'ready' when d.step_id is not null then 'delayed'
                                 when o.ended in ('succeeded', 'failed', 'cancelled')
                                      and not exists (select from leasehold.outcome x
                                                       where x.step_id = c.step_id and x.token > o.token)
                                 then o.ended::text else 'leased' end as state) s
 cross join lateral (select count(*) as attempts from leasehold.outcome x
                      where x.step_id = c.step_id and x.ended in ('succeeded', 'error', 'failed', 'cancelled')) n
 where (%(groups)s::bigint[] is null or c.group_id = any (%(groups)s))
   and (%(hook)s::text is null or h.name = %(hook)s)
   and (%(steps)s::bigint[] is null or c.step_id = any (%(steps)s))
   and (%(states)s::text[] is null or s.state = any (%(states)s))
 order by c.event_id desc, c.step_id desc
 limit %(limit)s
