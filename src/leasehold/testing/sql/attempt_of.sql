select attempt from leasehold.step_state where step_id = %s
