select holder_id, name, returned, charged from leasehold.reap(%s::bigint[], %s)
