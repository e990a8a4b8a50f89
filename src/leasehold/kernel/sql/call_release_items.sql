select leasehold.release_items(%s, %b::bytea[], %s::bigint[])
