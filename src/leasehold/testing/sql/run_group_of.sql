select group_id from leasehold.run where run_id = %s
