select leasehold.holder_drain(%s::bigint[], %s, %s)
