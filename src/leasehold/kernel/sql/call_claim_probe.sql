select token, lane_id, step_ids, attempts, last_position, alone, items
  from leasehold.claim_probe(%s, %s, %s, %s, %s)
