select leasehold.group_add(%s, %s::jsonb[], %s)
