select leasehold.sweep_cancelled(%s)
