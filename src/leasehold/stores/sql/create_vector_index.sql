create index concurrently if not exists chunk_vector_{collection_id}_ix on leasehold.chunk
 using hnsw ((embedding::vector({dimensions})) vector_cosine_ops) where collection_id = {collection_id}
