select step_id, result from leasehold.step_result where step_id = any (%s::bigint[])
