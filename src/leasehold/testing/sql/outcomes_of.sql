select ended::text, reason from leasehold.outcome where step_id = %s order by token
