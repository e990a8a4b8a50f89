select leasehold.group_seal(%s)
