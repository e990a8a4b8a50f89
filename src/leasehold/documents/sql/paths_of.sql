select i.path from leasehold.item i join leasehold.source s using (source_id)
 where s.collection_id = %s and i.verdict = 'stored'
 order by i.path
