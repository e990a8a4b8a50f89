select step_id, result from leasehold.step_result
