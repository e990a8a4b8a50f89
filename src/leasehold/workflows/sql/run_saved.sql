select step_id, name, value, at from leasehold.checkpoint
 where step_id between %(run)s::bigint * 1024 and %(run)s::bigint * 1024 + 1023 order by step_id, name
