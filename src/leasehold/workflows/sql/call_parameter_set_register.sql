select leasehold.parameter_set_register(%s, %b, %s::jsonb, %s)
