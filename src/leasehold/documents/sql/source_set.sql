update leasehold.source set options = %s::jsonb, root = %s where source_id = %s and (options <> %s::jsonb or root <> %s)
