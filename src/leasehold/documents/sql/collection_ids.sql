select collection_id from leasehold.collection order by collection_id
