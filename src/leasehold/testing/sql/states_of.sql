select step_id, state from leasehold.step_state where step_id >> 10 = %s order by step_id
