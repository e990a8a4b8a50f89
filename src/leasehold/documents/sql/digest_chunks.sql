select d.sha256, d.media_type, c.ordinal, c.text, c.line_start, c.line_end, c.heading, c.place::text,
       sha256(convert_to(translate(c.embedding::text, '[]{}', ''), 'UTF8'))
  from leasehold.chunk c
  join leasehold.document d using (document_id)
 where c.collection_id = %s
 order by d.sha256, d.media_type, c.ordinal
