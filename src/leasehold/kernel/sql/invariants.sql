-- What must hold at every commit, whatever happened: one row per violation, none when all is well.
with standing as (
    select step_id, 'blocked' as place from leasehold.blocked
    union all select step_id, 'delayed' from leasehold.delayed
    union all select step_id, 'ready' from leasehold.ready
    union all select unnest(step_ids), 'lease' from leasehold.lease
), places as (
    select step_id, count(*) as n, string_agg(place, ', ' order by place) as places from standing group by step_id
), gone as (
    select group_id, succeeded, failed, cancelled, succeeded + failed + cancelled as n from leasehold.group_pruned
), last as (
    select distinct on (step_id) step_id, ended, token from leasehold.outcome order by step_id, token desc
)
select 'a step stands in exactly one place, or has a final outcome' as rule,
       format('step %s stands in %s', p.step_id, p.places) as found
  from places p where p.n > 1
union all
select 'a step that stands nowhere has a final outcome',
       format('step %s stands nowhere; its last outcome is %s', s.step_id, coalesce(l.ended::text, 'none'))
  from leasehold.step s left join places p using (step_id) left join last l using (step_id)
 where p.step_id is null and coalesce(l.ended not in ('succeeded', 'failed', 'cancelled'), true)
union all
select 'a step that ended stands nowhere', format('step %s ended %s but stands in %s', p.step_id, l.ended, p.places)
  from places p join last l using (step_id) where l.ended in ('succeeded', 'failed', 'cancelled')
union all
select 'what stands somewhere exists', format('step %s stands in %s but has no row', p.step_id, p.places)
  from places p left join leasehold.step s using (step_id) where s.step_id is null
union all
select 'at most one succeeded outcome per step and round', format('step %s has %s', o.step_id, count(*))
  from leasehold.outcome o where o.ended = 'succeeded' group by o.step_id
having count(*) > 1 + (select count(*) from leasehold.outcome r
                        where r.step_id = o.step_id and r.ended = 'reopened')
union all
select 'a group is complete only if it is sealed and all its runs have ended',
       format('group %s: added %s, ended %s, sealed %s, completed %s', g.group_id, g.added, e.ended,
              g.sealed_at is not null, g.completed_at is not null)
  from leasehold.run_group g
  left join gone p using (group_id)
 cross join lateral (select count(*) + coalesce(p.n, 0) as ended from leasehold.group_span s
                       join leasehold.run_outcome o on o.run_id between s.first_run and s.last_run
                      where s.group_id = g.group_id and not o.reopened) e
 where g.completed_at is not null and (g.sealed_at is null or e.ended <> g.added)
union all
select 'a group that is sealed and of which every end is counted is complete', format('group %s has %s runs', g.group_id, g.added)
  from leasehold.run_group g
 where g.completed_at is null and g.sealed_at is not null and g.cancelled_at is null
   and g.succeeded + g.failed + g.cancelled = g.added
   and not exists (select from leasehold.group_delta d where d.group_id = g.group_id)
union all
select 'a completed group has its completion row', format('group %s round %s', g.group_id, g.round)
  from leasehold.run_group g
 where g.completed_at is not null
   and not exists (select from leasehold.group_completion c where c.group_id = g.group_id and c.round = g.round)
union all
select 'a completion says failed iff more runs failed than its group bears',
       format('group %s round %s ended %s with %s of %s failed', c.group_id, c.round, c.ended, c.failed,
              c.succeeded + c.failed + c.cancelled)
  from leasehold.group_completion c join leasehold.run_group g using (group_id)
 where c.ended in ('succeeded', 'failed')
   and (c.ended = 'failed') <> (c.failed > coalesce(
           g.failures_max, floor((c.succeeded + c.failed + c.cancelled) * g.failures_max_percent / 100), 0))
union all
select 'each completion has one event', format('group %s round %s has %s', c.group_id, c.round, e.n)
  from leasehold.group_completion c
 cross join lateral (select count(*) as n from leasehold.event v
                      where v.group_id = c.group_id and v.name = 'group_end'
                        and (v.data ->> 'round')::integer = c.round) e
 where e.n <> 1
   and not (e.n = 0 and exists (select from leasehold.pruned p where p.what = 'events' and p.until >= c.at))
union all
select 'counts and deltas of a group add up to its ended runs',
       format('group %s counts %s, its runs say %s', g.group_id, d.counts, e.counts)
  from leasehold.run_group g
  left join gone p using (group_id)
 cross join lateral (select array[g.succeeded + coalesce(sum(x.succeeded), 0)::bigint, g.failed + coalesce(sum(x.failed), 0),
                                  g.cancelled + coalesce(sum(x.cancelled), 0)] as counts
                       from leasehold.group_delta x where x.group_id = g.group_id) d
 cross join lateral (select array[count(*) filter (where o.ended = 'succeeded') + coalesce(p.succeeded, 0),
                                  count(*) filter (where o.ended = 'failed') + coalesce(p.failed, 0),
                                  count(*) filter (where o.ended = 'cancelled') + coalesce(p.cancelled, 0)] as counts
                       from leasehold.group_span s
                       join leasehold.run_outcome o on o.run_id between s.first_run and s.last_run
                      where s.group_id = g.group_id and not o.reopened) e
 where d.counts <> e.counts
union all
select 'the runs that were added are there', format('group %s added %s, has %s', g.group_id, g.added, s.n)
  from leasehold.run_group g
  left join gone p using (group_id)
 cross join lateral (select coalesce(sum(x.last_run - x.first_run + 1), 0) + coalesce(p.n, 0) as n
                       from leasehold.group_span x where x.group_id = g.group_id) s
 where g.added <> s.n
union all
select 'a run has at most one end that stands', format('run %s has %s', o.run_id, count(*))
  from leasehold.run_outcome o where not o.reopened group by o.run_id having count(*) > 1
union all
select 'a run starts at most once', format('run %s started %s times', v.run_id, count(*))
  from leasehold.event v where v.name = 'run_start' group by v.run_id having count(*) > 1
union all
select 'a blocked step waits for as many parents as have not succeeded',
       format('step %s waits for %s, of its parents %s have not succeeded', p.step_id, p.parents_left, p.n)
  from (select b.step_id, b.parents_left,
               count(*) filter (where w.ix is not null and o.ended is distinct from 'succeeded') as n
          from leasehold.blocked b
          join leasehold.lane l using (lane_id)
          left join leasehold.workflow_step w
            on w.workflow_id = l.workflow_id and (b.step_id & 1023)::smallint = any (w.children)
          left join last o on o.step_id = (b.step_id & ~1023::bigint) + w.ix
         group by b.step_id, b.parents_left) p
 where p.parents_left <> p.n
union all
select 'a step that may run has only parents that succeeded',
       format('step %s stands in %s, its parent %s: %s', p.step_id, p.places, w.ix, coalesce(o.ended::text, 'no outcome'))
  from places p
  join leasehold.step s using (step_id)
  join leasehold.lane l on l.lane_id = s.lane_id
  join leasehold.workflow_step w on w.workflow_id = l.workflow_id and (p.step_id & 1023)::smallint = any (w.children)
  left join last o on o.step_id = (p.step_id & ~1023::bigint) + w.ix
 where p.places <> 'blocked' and o.ended is distinct from 'succeeded'
union all
select 'a lease belongs to a living holder', format('lease %s of holder %s', l.token, l.holder_id)
  from leasehold.lease l join leasehold.holder h using (holder_id) where h.ended_at is not null
union all
select 'a holder that holds a step alone holds nothing else', format('holder %s', l.holder_id)
  from leasehold.lease l where l.alone
   and (cardinality(l.step_ids) > 1
        or exists (select from leasehold.lease o where o.holder_id = l.holder_id and o.token <> l.token))
union all
select 'a probe is one step, of the kind it is for', format('kind %s: lease %s', b.kind, l.token)
  from leasehold.breaker b join leasehold.lease l on l.token = b.probe_token
 where cardinality(l.step_ids) <> 1 or l.step_ids[1] <> b.probe_step or l.kind <> b.kind
union all
select 'every event has one call of each hook that names it', format('event %s, hook %s', e.event_id, h.hook_id)
  from leasehold.hook h
  join leasehold.run_group g on g.workflow_id = h.workflow_id
  join leasehold.event e on e.group_id = g.group_id and e.name = any (h.events)
 where not exists (select from leasehold.hook_call c where c.hook_id = h.hook_id and c.event_id = e.event_id)
   and not exists (select from gone p where p.group_id = g.group_id)
union all
select 'a call is of an event that its hook names', format('call %s of hook %s, event %s', c.step_id, c.hook_id, c.event_id)
  from leasehold.hook_call c
  join leasehold.hook h using (hook_id)
  left join leasehold.event e using (event_id)
  left join leasehold.run_group g on g.group_id = e.group_id
 where (g.workflow_id is distinct from h.workflow_id or e.name is null or e.name <> all (h.events)
        or e.group_id <> c.group_id or e.run_id is distinct from c.run_id)
   and not (e.name is null and exists (select from leasehold.pruned p
                                        where p.what = 'events' and p.range >= c.event_id / 4194304))
union all
select 'a step of no group is a call, and a call is a step of no group', format('step %s', s.step_id)
  from leasehold.step s
  join leasehold.lane l using (lane_id)
  left join leasehold.hook_call c using (step_id)
 where l.hook_id is distinct from c.hook_id
union all
select 'a call counts in no group and tells nothing', format('call %s', c.step_id)
  from leasehold.hook_call c
 where exists (select from leasehold.run r where r.run_id = c.step_id >> 10)
    or exists (select from leasehold.run_outcome o where o.run_id = c.step_id >> 10)
    or exists (select from leasehold.event e where e.run_id = c.step_id >> 10)
union all
select 'events of steps are where somebody subscribed to them', format('event %s: %s', e.event_id, e.name)
  from leasehold.event e
 where e.name in ('step_start', 'step_end', 'step_failed')
   and not exists (select from leasehold.step s join leasehold.lane l using (lane_id)
                    where s.step_id = (e.data ->> 'step_id')::bigint and e.name = any (l.subscribed))
   and not exists (select from leasehold.pruned p
                    where p.what = 'runs' and p.range = (e.data ->> 'step_id')::bigint >> 30)
union all
select 'nothing ready stands in a lane that nobody owns', format('lane %s', r.lane_id)
  from (select distinct lane_id from leasehold.ready) r left join leasehold.lane l using (lane_id)
 where l.lane_id is null
union all
select 'a run that ended has nothing waiting', format('run %s has step %s waiting as %s', p.step_id >> 10, p.step_id, p.places)
  from places p join leasehold.run_outcome o on o.run_id = p.step_id >> 10 and not o.reopened
 where p.places in ('blocked', 'delayed', 'ready')
union all
select 'a taken seat belongs to a living holder', format('seat %s of %s, holder %s', s.ix, s.key, s.holder_id)
  from leasehold.seat s join leasehold.holder h using (holder_id) where h.ended_at is not null
union all
select 'who waits for a seat lives', format('holder %s at %s', w.holder_id, w.key)
  from leasehold.seat_line w join leasehold.holder h using (holder_id) where h.ended_at is not null
union all
select 'a seat that serves a lease is that lease''s, and its holder''s', format('seat %s of %s, token %s', s.ix, s.key, s.token)
  from leasehold.seat s left join leasehold.lease l using (token)
 where s.leased and s.holder_id is not null and l.holder_id is distinct from s.holder_id
union all
select 'a seat without a step has a token of its own', format('seat %s of %s, token %s', s.ix, s.key, s.token)
  from leasehold.seat s
 where not s.leased and s.holder_id is not null
   and (exists (select from leasehold.lease l where l.token = s.token)
        or exists (select from leasehold.seat o where o.token = s.token and (o.key, o.ix) <> (s.key, s.ix)))
union all
select 'a lease has no more seats than it needs', format('lease %s has %s of %s', s.token, count(*), s.key)
  from leasehold.seat s join leasehold.lease l using (token) join leasehold.resource r using (key)
 where s.leased and s.holder_id is not null
 group by s.key, s.token, r.per, l.step_ids
having count(*) > case when r.per = 'page' then 1 else cardinality(l.step_ids) end
union all
select 'a resource has all its seats', format('%s has %s of %s', r.key, count(s.ix), r.seats)
  from leasehold.resource r left join leasehold.seat s on s.key = r.key and s.ix <= r.seats
 group by r.key having count(s.ix) <> r.seats
union all
select 'a free seat is within its limit', format('seat %s of %s, which has %s', s.ix, s.key, r.seats)
  from leasehold.seat s join leasehold.resource r using (key) where s.holder_id is null and s.ix > r.seats
union all
select 'only whoever has the seat works behind a lock', format('%s leases behind %s', count(*), r.key)
  from leasehold.lease l join leasehold.lane n using (lane_id) join leasehold.resource r using (key)
 where exists (select from leasehold.seat s where s.token = l.token and s.leased)
 group by r.key, r.seats, r.per
having r.per = 'page' and count(*) > (select count(*) from leasehold.seat s where s.key = r.key and s.holder_id is not null)
order by 1, 2;
