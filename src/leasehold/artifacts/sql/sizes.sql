select recipe, size from leasehold.artifact where recipe = any (%b::bytea[])
