select value from leasehold.checkpoint where step_id = %s and name = %s
