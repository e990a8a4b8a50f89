select leasehold.resume(%s, %s, %s)
