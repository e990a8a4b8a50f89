-- Remove a collection with its sources and items. One statement, so that the foreign keys are looked at when all of it
-- is gone.
with sources as (
    select s.source_id from leasehold.source s where s.collection_id = %(collection)s
), odd as (
    delete from leasehold.oddity o using sources s where o.source_id = s.source_id
), scans as (
    delete from leasehold.sync y using sources s where y.source_id = s.source_id
), items as (
    delete from leasehold.item i using sources s where i.source_id = s.source_id
), stored as (
    delete from leasehold.collection_document d where d.collection_id = %(collection)s
), gone as (
    delete from leasehold.source s where s.collection_id = %(collection)s
)
delete from leasehold.collection c where c.collection_id = %(collection)s
