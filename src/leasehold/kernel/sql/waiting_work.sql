-- What is ready, of open groups and of hooks, by kind and by what holds it back: the predicates of lanes_with_work, told apart.
with paused as materialized (
    select p.what, p.name, p.by_whom, p.until from leasehold.pause p where p.until > leasehold.now())
select l.kind,
       coalesce(z.said, case when b.kind is not null then 'kind ' || b.kind || ' errs alike: ' || b.reason end,
                (select 'resource ' || s.key || ' has no free seat' from leasehold.resource s
                  where s.key = any (array[l.key, 'kind:' || l.kind]) and leasehold.seats_free(s.key, true) = '{}'
                  limit 1), ''),
       min(r.position)
  from (select o.*, g.source
          from leasehold.run_group g join leasehold.lane o on o.group_id = g.group_id
         where g.completed_at is null
        union all
        select h.*, '' from leasehold.lane h where h.hook_id is not null) l
 cross join lateral (select x.position from leasehold.ready x where x.lane_id = l.lane_id
                      order by x.position limit 1) r
  left join leasehold.breaker b on b.kind = l.kind and b.key = coalesce(l.key, '') and b.opened_at is not null
  left join lateral (select p.what || ' ' || p.name || ' is paused by ' || p.by_whom as said from paused p
                      where (p.what, p.name) in (('kind', l.kind), ('source', l.source), ('group', l.group_id::text))
                      order by p.until desc limit 1) z on true
 group by 1, 2
 order by 3
