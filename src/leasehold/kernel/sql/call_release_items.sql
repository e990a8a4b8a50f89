select leasehold.release_items(%s, %s::bytea[], %s::bigint[])
