select returned, charged from leasehold.end_holder(%s, %s, %s::bigint[], %s)
