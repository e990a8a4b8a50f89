select step_id, state, token from leasehold.step_state
