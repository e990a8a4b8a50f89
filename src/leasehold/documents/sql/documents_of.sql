-- Content of a collection's items: what they have stored, and what their runs are about to store.
select distinct d.sha256, d.media_type
  from leasehold.source s
  join leasehold.item i using (source_id)
  join leasehold.document d on d.document_id in (i.document_id, i.pending_id)
 where s.collection_id = %s
