select leasehold.accept(%s::bigint[], %s::bigint[])
