select i.path, d.sha256 from leasehold.item i join leasehold.document d using (document_id)
 where i.source_id = %s and i.path = any (%s::text[]) and i.verdict = 'stored' and i.pipeline = any (%b::bytea[])
