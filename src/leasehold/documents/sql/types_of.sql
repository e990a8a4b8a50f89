-- The media types of a collection's stored documents, most first, at most eight.
select split_part(i.media_type, ';', 1)
  from leasehold.item i join leasehold.source s using (source_id)
 where s.collection_id = %s and i.document_id is not null
 group by 1 order by count(*) desc, 1 limit 8
