insert into leasehold.source (collection_id, kind, uri, root, options, created_at)
values (%s, 'folder', %s, %s, %s::jsonb, leasehold.now())
on conflict (collection_id, uri) do nothing
