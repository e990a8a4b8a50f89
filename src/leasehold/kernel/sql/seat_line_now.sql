-- Who waits at one resource, in the order of the line, and how many steps wait behind it.
select h.kind, h.name, h.host, h.pid, extract(epoch from leasehold.now() - w.since)::float8,
       w.asked_at > leasehold.now() - interval '5 seconds' and h.expires_at > leasehold.now()
  from leasehold.seat_line w join leasehold.holder h using (holder_id)
 where w.key = %s and h.ended_at is null
 order by w.place
