update leasehold.sync set group_id = %s where sync_id = %s
