select ord, verdict, token, lane_id, kind, group_id, step_ids, attempts, items
  from leasehold.finish_and_lease(%s::bigint[], %s::bigint[], %s::leasehold.ending[], %s::text[], %s::text[],
                                  %s::double precision[], %s::bytea[], %s::jsonb)
