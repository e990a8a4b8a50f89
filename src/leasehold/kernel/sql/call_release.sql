select leasehold.release(%s::bigint[], %s::bigint[])
