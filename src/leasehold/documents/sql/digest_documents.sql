-- The collection in canonical order, without ids and times: items with their content, then what is stored for it.
select i.path, d.sha256, d.media_type, i.document_id
  from leasehold.item i
  join leasehold.source s using (source_id)
  join leasehold.document d using (document_id)
 where s.collection_id = %s and i.verdict = 'stored'
 order by i.path collate "C", d.sha256, d.media_type
