-- Collections with what they hold, in the order of their names.
select c.collection_id, c.name, c.parameters::text, c.created_at,
       (select count(*) from leasehold.source s where s.collection_id = c.collection_id),
       coalesce(d.documents, 0), coalesce(d.chunks, 0), d.stored_at
  from leasehold.collection c
  left join (select x.collection_id, count(*) as documents, sum(x.chunks)::bigint as chunks, max(x.stored_at) as stored_at
               from leasehold.collection_document x group by x.collection_id) d using (collection_id)
 where %(name)s::text is null or c.name = %(name)s
 order by c.name
