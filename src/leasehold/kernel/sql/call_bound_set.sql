select leasehold.bound_set(%s, %s, %s, %s)
