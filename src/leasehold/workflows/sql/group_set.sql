select set_id from leasehold.group_setting where group_id = %s
