select source_id, uri, root from leasehold.source where collection_id = %s order by source_id
