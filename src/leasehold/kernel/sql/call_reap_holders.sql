select leasehold.reap_holders(%s::bigint[])
