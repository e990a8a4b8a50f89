-- Content-addressed: the same bytes read the same way are one document. Returns sha256, media_type, document_id.
with wanted as (
    select distinct on (u.sha256, u.media_type) u.sha256, u.media_type, u.size
      from unnest(%b::bytea[], %s::text[], %s::bigint[]) u(sha256, media_type, size)
     order by u.sha256, u.media_type
), added as (
    insert into leasehold.document (sha256, media_type, size, created_at)
    select w.sha256, w.media_type, w.size, leasehold.now() from wanted w order by w.sha256, w.media_type
    on conflict (sha256, media_type) do update set size = excluded.size
    returning sha256, media_type, document_id
)
select * from added
