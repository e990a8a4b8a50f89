select (select count(*) from leasehold.collection_document d where d.collection_id = any (%(collections)s::bigint[])),
       (select count(*) from leasehold.chunk c where c.collection_id = any (%(collections)s::bigint[]))
