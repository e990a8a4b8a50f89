insert into leasehold.artifact
       (recipe, kind, content, size, step_id, encoding, stored, checksum, store_id, key, created_at)
select u.recipe, u.kind, u.content, u.size, u.step_id, u.encoding, u.stored, u.checksum, u.store_id, u.key,
       leasehold.now()
  from unnest(%b::bytea[], %s::text[], %b::bytea[], %s::bigint[], %s::bigint[],
              %s::text[], %s::bigint[], %b::bytea[], %s::bigint[], %s::text[])
       u(recipe, kind, content, size, step_id, encoding, stored, checksum, store_id, key)
on conflict (recipe) do nothing
