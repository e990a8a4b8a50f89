select leasehold.checkpoint_save(%s, %s, %s, %s::jsonb)
