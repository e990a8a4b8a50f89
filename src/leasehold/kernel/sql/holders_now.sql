-- Holders that have not ended, with what they hold, serve, and are told.
select h.holder_id, h.kind, h.name, h.host, h.pid, extract(epoch from leasehold.now() - h.started_at)::float8,
       extract(epoch from leasehold.now() - h.heartbeat_at)::float8, h.expires_at < leasehold.now(),
       coalesce(sum(cardinality(l.step_ids)), 0)::bigint, s.reason,
       extract(epoch from leasehold.now() - s.since)::float8,
       array(select t.key from leasehold.seat t where t.holder_id = h.holder_id and not t.leased order by t.key),
       h.kinds, h.drain, h.drained_by, extract(epoch from leasehold.now() - h.drained_at)::float8
  from leasehold.holder h left join leasehold.lease l using (holder_id) left join leasehold.silence s using (holder_id)
 where h.ended_at is null
 group by h.holder_id, s.holder_id order by h.holder_id
