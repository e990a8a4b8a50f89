-- Cross out the strays that a row refers to now.
delete from leasehold.artifact_stray s using leasehold.artifact a, unnest(%s::text[]) u(key)
 where s.key = u.key and a.store_id = s.store_id and a.key = s.key
