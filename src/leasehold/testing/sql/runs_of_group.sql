select run_id from leasehold.run where group_id = %s order by run_id
