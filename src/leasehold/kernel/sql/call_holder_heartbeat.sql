select holder_id, tokens from leasehold.holder_heartbeat(%s::bigint[])
