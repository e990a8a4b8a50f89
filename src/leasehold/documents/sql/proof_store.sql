-- Counted again from the store itself: stored documents whose chunks are not all there, not in order, or not found
-- through any item. One row per defect.
with counted as (
    select d.collection_id, d.document_id, d.chunks as said, count(c.ordinal) as found,
           coalesce(max(c.ordinal), -1) as last
      from leasehold.collection_document d
      left join leasehold.chunk c using (collection_id, document_id)
     where d.collection_id = any (%(collections)s::bigint[])
     group by d.collection_id, d.document_id, d.chunks
)
select 'chunks are missing' as rule,
       (select min(i.path) from leasehold.item i join leasehold.source s using (source_id)
         where i.document_id = n.document_id and s.collection_id = n.collection_id) as path,
       format('document %%s should have %%s chunks and has %%s', n.document_id, n.said, n.found) as found
  from counted n where n.found <> n.said or n.last <> n.said - 1
union all
select 'a stored item has no stored document', i.path, format('document %%s is not in the collection', i.document_id)
  from leasehold.item i join leasehold.source s using (source_id)
 where s.collection_id = any (%(collections)s::bigint[]) and i.verdict = 'stored'
   and not exists (select from leasehold.collection_document d
                    where d.collection_id = s.collection_id and d.document_id = i.document_id)
union all
select 'a stored document belongs to no item', null, format('document %%s', d.document_id)
  from leasehold.collection_document d
 where d.collection_id = any (%(collections)s::bigint[])
   and not exists (select from leasehold.item i join leasehold.source s using (source_id)
                    where i.document_id = d.document_id and s.collection_id = d.collection_id)
union all
select 'an item under way has had no run', i.path, 'it waits, but nothing works on it'
  from leasehold.item_state v join leasehold.item i using (item_id) join leasehold.source s on s.source_id = v.source_id
 where s.collection_id = any (%(collections)s::bigint[]) and v.state = 'pending' and v.run_id is null
order by 1, 2, 3
