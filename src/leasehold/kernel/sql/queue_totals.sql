-- Totals of the whole queue that only reading gives: runs by how they ended, open groups, late writes refused, holders by
-- how they live or ended, seats, who waits for one, open breakers.
select 'runs', 'succeeded', coalesce(sum(g.succeeded), 0) + (select coalesce(sum(d.succeeded), 0) from leasehold.group_delta d)
  from leasehold.run_group g
union all
select 'runs', 'failed', coalesce(sum(g.failed), 0) + (select coalesce(sum(d.failed), 0) from leasehold.group_delta d)
  from leasehold.run_group g
union all
select 'runs', 'cancelled', coalesce(sum(g.cancelled), 0) + (select coalesce(sum(d.cancelled), 0) from leasehold.group_delta d)
  from leasehold.run_group g
union all
select 'runs', 'open', coalesce(sum(g.added - g.succeeded - g.failed - g.cancelled), 0)
       - (select coalesce(sum(d.succeeded + d.failed + d.cancelled), 0) from leasehold.group_delta d)
  from leasehold.run_group g
union all
select 'groups', 'open', count(*) from leasehold.run_group g where g.completed_at is null
union all
select 'refused', r.verb, sum(r.steps) from leasehold.refusal r group by r.verb
union all
select 'holders', case when h.expires_at < leasehold.now() then 'late' else 'living' end, count(*)
  from leasehold.holder h where h.ended_at is null group by 2
union all
select 'holders', h.end_reason, count(*) from leasehold.holder h where h.ended_at is not null group by 2
union all
select 'seats', case when s.holder_id is null then 'free' else 'taken' end, count(*) from leasehold.seat s group by 2
union all
select 'line', 'waiting', count(*)
  from leasehold.seat_line w join leasehold.holder h using (holder_id)
 where h.ended_at is null and h.expires_at > leasehold.now()
union all
select 'breakers', 'open', count(*) from leasehold.breaker b where b.opened_at is not null
