-- Everything the answer to "why is this step where it is" needs, by the predicates the claim itself uses.
select s.step_id, l.kind,
       coalesce(l.group_id, (select c.group_id from leasehold.hook_call c where c.step_id = s.step_id), 0),
       coalesce(g.label, ''), g.sealed_at is not null, g.cancelled_at is not null, v.state, v.attempt,
       w.attempts_max,
       (select b.parents_left from leasehold.blocked b where b.step_id = s.step_id),
       (select string_agg((p.step_id >> 10) || '.' || (p.step_id & 1023) || ' (' || p.kind || ', ' || p.state || ')', ', ')
          from (select (s.step_id & ~1023::bigint) + x.ix as step_id, x.kind,
                       (select y.state from leasehold.step_state y
                         where y.step_id = (s.step_id & ~1023::bigint) + x.ix) as state
                  from leasehold.workflow_step x
                 where x.workflow_id = l.workflow_id and (s.step_id & 1023)::smallint = any (x.children)) p
         where p.state is distinct from 'succeeded'),
       extract(epoch from d.ready_at - leasehold.now())::float8, d.why,
       r.alone,
       (select count(*) from leasehold.ready o where o.lane_id = r.lane_id and o.position < r.position),
       z.what, z.name, case when isfinite(z.until) then extract(epoch from z.until - leasehold.now()) end::float8, z.by_whom,
       z.why, k.reason, k.streak, greatest(0, extract(epoch from k.open_until - leasehold.now()))::float8,
       (select k.probe_step from leasehold.lease y where y.token = k.probe_token),
       e.token, extract(epoch from leasehold.now() - e.claimed_at)::float8, h.name, h.pid,
       extract(epoch from leasehold.now() - h.heartbeat_at)::float8, cardinality(e.step_ids),
       o.ended::text, o.reason, o.detail, o.at,
       q.key, q.seats, q.taken, q.who,
       a.workers, a.serving, a.willing, extract(epoch from leasehold.now() - r.since)::float8,
       h.ended_at is not null or h.expires_at < leasehold.now(), h.drain
  from leasehold.step s
  join leasehold.lane l using (lane_id)
  left join leasehold.run_group g on g.group_id = l.group_id
  join leasehold.workflow_step w on w.workflow_id = l.workflow_id and w.ix = s.step_id & 1023
  left join leasehold.step_state v using (step_id)
  left join leasehold.delayed d using (step_id)
  left join leasehold.ready r using (step_id)
  left join leasehold.lease e on e.token = v.token and v.state = 'leased'
  left join leasehold.holder h on h.holder_id = e.holder_id
  left join leasehold.breaker k on k.kind = l.kind and k.key = coalesce(l.key, '') and k.opened_at is not null
  left join lateral (select x.* from leasehold.pause x
                      where x.until > leasehold.now()
                        and (x.what, x.name) in (('kind', l.kind), ('source', g.source), ('group', g.group_id::text),
                                                 ('limit', l.key), ('limit', 'kind:' || l.kind))
                      order by x.until desc limit 1) z on true
  left join lateral (select r.key, r.seats, count(t.ix) as taken,
                            string_agg(y.kind || ' ' || y.name || ' (pid ' || y.pid || ') for '
                                       || to_char(extract(epoch from leasehold.now() - t.since), 'FM9999999990.0') || ' s',
                                       ', ' order by t.ix)
                                filter (where t.ix <= 3) as who
                       from leasehold.resource r
                       left join leasehold.seat t on t.key = r.key and t.holder_id is not null
                       left join leasehold.holder y on y.holder_id = t.holder_id
                      where r.key = any (array[l.key, 'kind:' || l.kind])
                        and leasehold.seats_free(r.key, true) = '{}'
                      group by r.key order by r.key limit 1) q on v.state = 'ready'
  left join lateral (select x.* from leasehold.outcome x where x.step_id = s.step_id
                      order by x.token desc limit 1) o on true
 cross join lateral (select count(*) as workers, count(*) filter (where x.kinds is null or l.kind = any (x.kinds)) as serving,
                            count(*) filter (where (x.kinds is null or l.kind = any (x.kinds)) and x.drain is null) as willing
                       from leasehold.holder x
                      where x.kind = 'worker' and x.ended_at is null and x.expires_at > leasehold.now()) a
 where s.step_id = %s
