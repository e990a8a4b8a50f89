-- Every resource: its seats, how many are taken, who waits. Keys in their order; all of them, or this one.
select r.key, r.seats, r.per,
       exists (select from leasehold.pause p where p.what = 'limit' and p.name = r.key and p.until > leasehold.now()),
       (select count(*) from leasehold.seat s where s.key = r.key and s.holder_id is not null),
       (select count(*) from leasehold.seat_line w join leasehold.holder h using (holder_id)
         where w.key = r.key and h.ended_at is null and h.expires_at > leasehold.now())
  from leasehold.resource r
 where %(key)s::text is null or r.key = %(key)s
 order by r.key
