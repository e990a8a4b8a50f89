select leasehold.workflow_register(%s, %s::jsonb)
