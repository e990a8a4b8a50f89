select from leasehold.collection_document d
 where d.collection_id = %s and d.document_id = any (%s::bigint[]) order by d.document_id for update
