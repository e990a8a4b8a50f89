select leasehold.workflow_register(%s, %s::jsonb, %s::jsonb, %s::text[])
