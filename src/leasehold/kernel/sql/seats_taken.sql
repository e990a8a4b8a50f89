-- The taken seats of one resource, or of all, each with its holder and, if it serves a lease, what that covers.
select s.key, s.ix, s.token, s.leased, extract(epoch from leasehold.now() - s.since)::float8, h.holder_id, h.kind, h.name,
       h.host, h.pid, extract(epoch from leasehold.now() - h.heartbeat_at)::float8, h.expires_at < leasehold.now(),
       l.kind, l.group_id, coalesce(cardinality(e.step_ids), 0)
  from leasehold.seat s
  join leasehold.holder h using (holder_id)
  left join leasehold.lease e on e.token = s.token and s.leased
  left join leasehold.lane l on l.lane_id = e.lane_id
 where %(key)s::text is null or s.key = %(key)s
 order by s.key, s.ix
