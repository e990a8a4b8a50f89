update leasehold.sync set applied_at = leasehold.now(), changed = %s, unchanged = %s where sync_id = %s
