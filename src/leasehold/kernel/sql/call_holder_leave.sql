select leasehold.holder_leave(%s)
