select leasehold.prune_tidy(%s, %s)
