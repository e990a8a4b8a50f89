-- Content-addressed: the same bytes read the same way are one document. In key order, so that nobody deadlocks.
insert into leasehold.document (sha256, media_type, size, created_at)
select w.sha256, w.media_type, w.size, leasehold.now()
  from (select distinct on (u.sha256, u.media_type) u.sha256, u.media_type, u.size
          from unnest(%b::bytea[], %s::text[], %s::bigint[]) u(sha256, media_type, size)
         order by u.sha256, u.media_type) w
on conflict (sha256, media_type) do nothing
