select leasehold.holder_serve(%s, %s::text[])
