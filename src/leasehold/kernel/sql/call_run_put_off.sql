select leasehold.run_put_off(%s::bigint[], %s, %s)
