select leasehold.claim_items(%s, %s::bytea[], %s::bigint[])
