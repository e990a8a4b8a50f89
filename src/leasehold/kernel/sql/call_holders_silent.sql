select leasehold.holders_silent(%s::bigint[], %s::text[])
