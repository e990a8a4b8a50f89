select parameters::text from leasehold.collection where collection_id = %s
