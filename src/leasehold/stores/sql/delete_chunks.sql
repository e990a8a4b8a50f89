delete from leasehold.chunk c using unnest(%s::bigint[], %s::bigint[]) u(collection_id, document_id)
 where c.collection_id = u.collection_id and c.document_id = u.document_id
