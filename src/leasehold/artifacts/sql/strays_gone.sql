delete from leasehold.artifact_stray s using unnest(%s::bigint[], %s::text[]) u(store_id, key)
 where s.store_id = u.store_id and s.key = u.key
