select holder_id, tokens, cancelled, drain from leasehold.holder_heartbeat(%s::bigint[])
