select leasehold.group_weigh(%s, %s, %s)
