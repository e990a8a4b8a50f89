select state from leasehold.step_state where step_id = %s
