-- Stored items whose document has notes about its reading, and how many there are of them.
select s.uri, i.path, d.notes, count(*) over ()
  from leasehold.collection_document d
  join leasehold.item i on i.document_id = d.document_id
  join leasehold.source s on s.source_id = i.source_id and s.collection_id = d.collection_id
 where d.notes <> '' and s.source_id = any (%(sources)s::bigint[])
 order by s.uri, i.path limit %(limit)s
