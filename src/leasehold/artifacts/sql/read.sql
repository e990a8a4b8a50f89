select recipe, kind, content, size, step_id, encoding, stored, checksum, store_id, key
  from leasehold.artifact where recipe = any (%b::bytea[])
