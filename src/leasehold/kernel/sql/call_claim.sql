select token, lane_id, step_ids, attempts, last_position, alone
  from leasehold.claim(%s, %s, %s::bigint[], %s::integer[], %s::bigint[], %s::double precision[])
