select leasehold.expire_leases(%s)
