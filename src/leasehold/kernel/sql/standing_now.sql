-- What waits and what is leased in open groups (of all, with the calls of hooks, or of one), by kind: how many steps, and the age of the oldest.
--
-- waiting: ready; `held_back` by the predicates of lanes_with_work, told apart; delayed: `age_s` is the time until the
-- next one is due; leased: by living workers; slow: those of them whose lease has used up more than half of its time;
-- dead: leased by holders that are not heard any more. Ready steps are counted in one pass over them: 10^6 take 0.2 s.
with paused as materialized (
    select p.what, p.name, p.by_whom, p.until from leasehold.pause p where p.until > leasehold.now()),
lanes as materialized (
    select l.lane_id, l.kind, l.key, g.group_id, g.source
      from leasehold.run_group g join leasehold.lane l on l.group_id = g.group_id
     where g.completed_at is null and (%(group)s::bigint is null or g.group_id = %(group)s)
    union all
    select h.lane_id, h.kind, h.key, null, '' from leasehold.lane h where h.hook_id is not null and %(group)s::bigint is null),
waiting as materialized (
    select r.lane_id, count(*) as n from leasehold.ready r where r.lane_id in (select l.lane_id from lanes l) group by 1),
leased as materialized (
    select l.kind, cardinality(e.step_ids) as steps, e.holder_id, leasehold.now() - e.claimed_at as age,
           h.ended_at is not null or h.expires_at < leasehold.now() as dead,
           leasehold.now() > e.claimed_at + (e.deadline - e.claimed_at) / 2 as slow
      from leasehold.lease e join lanes l using (lane_id) join leasehold.holder h using (holder_id))
select 'waiting', l.kind,
       coalesce(z.said, case when b.kind is not null then 'the breaker of kind ' || b.kind || ' is open: ' || b.reason end,
                (select s.key || ' has no free seat' from leasehold.resource s
                  where s.key = any (array[l.key, 'kind:' || l.kind]) and leasehold.seats_free(s.key, true) = '{}'
                  order by s.key limit 1), '') as held_back,
       sum(w.n)::bigint, max(extract(epoch from leasehold.now() - o.since))::float8, count(*),
       max(w.n)
  from lanes l join waiting w using (lane_id)
 cross join lateral (
       select least((select x.since from leasehold.ready x where x.lane_id = l.lane_id and not x.alone
                      order by x.position limit 1),
                    (select x.since from leasehold.ready x where x.lane_id = l.lane_id and x.alone
                      order by x.position limit 1)) as since) o
  left join leasehold.breaker b on b.kind = l.kind and b.key = coalesce(l.key, '') and b.opened_at is not null
  left join lateral (select p.what || ' ' || p.name || ' is paused by ' || p.by_whom as said from paused p
                      where (p.what, p.name) in (('kind', l.kind), ('source', l.source), ('group', l.group_id::text),
                                                 ('limit', l.key), ('limit', 'kind:' || l.kind))
                      order by p.until desc limit 1) z on true
 group by 2, 3
union all
select 'delayed', l.kind, '', count(*), min(extract(epoch from d.ready_at - leasehold.now()))::float8, count(distinct lane_id), null
  from leasehold.delayed d join lanes l using (lane_id) group by 2
union all
select 'leased', e.kind, '', sum(e.steps)::bigint, max(extract(epoch from e.age))::float8, count(distinct e.holder_id), null
  from leased e where not e.dead group by 2
union all
select 'slow', e.kind, '', sum(e.steps)::bigint, max(extract(epoch from e.age))::float8, count(distinct e.holder_id), null
  from leased e where not e.dead and e.slow group by 2
union all
select 'dead', e.kind, '', sum(e.steps)::bigint, max(extract(epoch from e.age))::float8, count(distinct e.holder_id), null
  from leased e where e.dead group by 2
 order by 1, 2, 3
