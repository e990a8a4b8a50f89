delete from leasehold.checkpoint where step_id = any (%s::bigint[])
