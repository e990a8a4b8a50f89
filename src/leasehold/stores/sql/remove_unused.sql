-- After lock_documents: whoever attaches an item to one of these waits for us, or has committed and is seen here.
delete from leasehold.collection_document d
 where d.collection_id = %s and d.document_id = any (%s::bigint[])
   and not exists (select from leasehold.item i join leasehold.source s using (source_id)
                    where i.document_id = d.document_id and s.collection_id = d.collection_id)
returning d.document_id
