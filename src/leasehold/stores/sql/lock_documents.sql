select from leasehold.collection_document d
  join unnest(%s::bigint[], %s::bigint[]) u(collection_id, document_id) using (collection_id, document_id)
 order by d.collection_id, d.document_id for update of d
