select (select coalesce(sum(d.chunks), 0) from leasehold.collection_document d where d.collection_id = %s) > %s
