select leasehold.group_cancel(%s)
