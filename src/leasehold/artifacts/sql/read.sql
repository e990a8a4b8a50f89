select recipe, content, size from leasehold.artifact where recipe = any (%b::bytea[])
