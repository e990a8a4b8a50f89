select leasehold.claim_items(%s, %b::bytea[], %s::bigint[])
