update leasehold.sync set applied_at = leasehold.now() where sync_id = %s
