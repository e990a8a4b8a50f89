select set_config('hnsw.ef_search', greatest(%s::integer, 40)::text, true)
