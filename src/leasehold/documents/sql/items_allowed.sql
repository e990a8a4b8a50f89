-- Items of a collection that a filter lets through, with their documents; a null condition lets everything through.
select i.item_id, i.document_id
  from leasehold.item i join leasehold.source s using (source_id)
 where s.collection_id = %(collection)s and i.document_id is not null
   and (%(sources)s::bigint[] is null or i.source_id = any (%(sources)s))
   and (%(paths)s::text[] is null or i.path ~ any (%(paths)s))
   and (%(types)s::text[] is null
        or split_part(i.media_type, ';', 1) = any (%(types)s)
        or split_part(split_part(i.media_type, ';', 1), '/', 2) = any (%(types)s)
        or lower(substring(i.path from '\.([^./]+)$')) = any (%(types)s))
   and (%(after_ns)s::bigint is null or i.mtime_ns >= %(after_ns)s)
   and (%(before_ns)s::bigint is null or i.mtime_ns < %(before_ns)s)
