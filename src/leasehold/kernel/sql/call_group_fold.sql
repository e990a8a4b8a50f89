select leasehold.group_fold(%s)
