select exists (select from leasehold.collection c join leasehold.collection_document d using (collection_id)
                where c.name = %s)
