select token, lane_id, step_ids, attempts, last_position, alone, items
  from leasehold.claim_with_items(%s, %s, %s::bigint[], %s::integer[], %s::bigint[], %s::double precision[],
                                  %s::boolean[])
