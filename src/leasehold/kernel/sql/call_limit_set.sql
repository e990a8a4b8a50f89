select before, taken from leasehold.limit_set(%s, %s, %s)
