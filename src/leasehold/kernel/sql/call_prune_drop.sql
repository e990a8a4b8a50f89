select leasehold.prune_drop()
