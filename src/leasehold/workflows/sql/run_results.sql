select step_id, result from leasehold.step_result
 where step_id between %(run)s::bigint * 1024 and %(run)s::bigint * 1024 + 1023 order by step_id
