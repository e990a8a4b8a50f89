select leasehold.group_retry(%s, %s::text[], %s::bigint[], %s::text[])
