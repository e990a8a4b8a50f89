-- Content of these items as it was last read, with its tokens: of its stored text, else of the file as a whole.
select d.sha256, i.media_type,
       coalesce((select sum((octet_length(c.text) + 2) / 3) from leasehold.chunk c
                  where c.collection_id = s.collection_id and c.document_id = d.document_id),
                (i.size + 2) / 3)::bigint
  from leasehold.item i
  join leasehold.source s using (source_id)
  left join leasehold.document d on d.document_id = coalesce(i.pending_id, i.document_id)
 where i.source_id = %s and i.path = any (%s::text[]) and i.media_type is not null
