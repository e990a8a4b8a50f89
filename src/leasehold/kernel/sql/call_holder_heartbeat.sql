select holder_id, tokens, cancelled from leasehold.holder_heartbeat(%s::bigint[])
