insert into leasehold.collection as c (name, embedder, dimensions, parameters, created_at)
values (%s, %s, %s, %s::jsonb, leasehold.now())
on conflict (name) do nothing
