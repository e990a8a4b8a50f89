select leasehold.group_settle(%s, %s, %s::real[])
