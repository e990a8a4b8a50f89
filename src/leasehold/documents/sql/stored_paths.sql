select i.path from leasehold.item i
  join leasehold.source s using (source_id)
  join leasehold.collection c using (collection_id)
 where c.name = %s and i.verdict = 'stored'
   and not exists (select from leasehold.item o join leasehold.source t using (source_id)
                    where o.document_id = i.document_id and o.item_id <> i.item_id
                      and t.collection_id = s.collection_id)
 order by i.path limit %s
