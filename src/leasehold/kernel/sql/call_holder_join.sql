select leasehold.holder_join(%s, %s, %s, %s, %s)
