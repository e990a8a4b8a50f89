select recipe, content from leasehold.artifact where recipe = any (%b::bytea[])
