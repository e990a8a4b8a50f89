drop index concurrently if exists leasehold.chunk_vector_{collection_id}_ix
