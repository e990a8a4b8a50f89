select group_id, created from leasehold.group_open(%s, %s, %s, %s, %s, %s, %s, %s)
