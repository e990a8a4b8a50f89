select leasehold.limit_remove(%s)
