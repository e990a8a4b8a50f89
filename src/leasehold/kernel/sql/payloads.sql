select run_id, item from leasehold.payload where run_id = any (%s::bigint[])
