insert into leasehold.artifact_store (url, endpoint, region, mark, created_at)
values (%s, %s, %s, %s, leasehold.now()) on conflict (url, endpoint) do nothing
