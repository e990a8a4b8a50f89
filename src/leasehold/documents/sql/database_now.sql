select leasehold.now()
