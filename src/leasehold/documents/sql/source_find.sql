select source_id from leasehold.source where collection_id = %s and uri = %s
