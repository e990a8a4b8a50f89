insert into leasehold.artifact_stray (store_id, key, token, since) values (%s, %s, %s, leasehold.now())
on conflict (store_id, key) do nothing
