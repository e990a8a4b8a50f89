select leasehold.group_trace(%s, %s)
