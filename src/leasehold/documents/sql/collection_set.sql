update leasehold.collection set parameters = %s::jsonb, embedder = %s, dimensions = %s where collection_id = %s
