select verdict, gone, kept from leasehold.prune_range(%s, %s, %s, %s::bigint[], %s, %s)
