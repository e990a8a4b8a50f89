-- Documents that no item has, had or is about to have, and no collection stores.
select count(*) from leasehold.document d
 where d.created_at < leasehold.now() - make_interval(secs => %s)
   and not exists (select from leasehold.item i where i.document_id = d.document_id or i.pending_id = d.document_id)
   and not exists (select from leasehold.version v where v.document_id = d.document_id)
   and not exists (select from leasehold.collection_document c where c.document_id = d.document_id)
