select collection_id, name, parameters::text from leasehold.collection where name = %s
