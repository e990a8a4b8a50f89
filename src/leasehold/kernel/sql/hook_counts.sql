-- How many calls of each hook stand where, of these groups or of all.
select h.name, s.state, count(*)
  from leasehold.hook_call c
  join leasehold.hook h using (hook_id)
  left join leasehold.ready r on r.step_id = c.step_id
  left join leasehold.delayed d on d.step_id = c.step_id
  left join lateral (select x.ended from leasehold.outcome x where x.step_id = c.step_id
                      order by x.token desc limit 1) o on true
 cross join lateral (select case when r.step_id is not null then 'ready' when d.step_id is not null then 'delayed'
                                 when o.ended in ('succeeded', 'failed', 'cancelled') then o.ended::text
                                 else 'leased' end as state) s
 where %(groups)s::bigint[] is null or c.group_id = any (%(groups)s)
 group by 1, 2 order by 1, 2
