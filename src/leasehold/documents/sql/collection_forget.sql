-- Remove a collection with its sources and items, and the artifacts that runs for it computed. One statement, so that
-- the foreign keys are looked at when all of it is gone.
with sources as (
    select s.source_id from leasehold.source s where s.collection_id = %(collection)s
), spans as (
    select p.first_run, p.last_run from leasehold.sync y
      join sources using (source_id) join leasehold.group_span p using (group_id)
), made as (
    delete from leasehold.artifact a using spans p
     where a.step_id >= p.first_run * 1024 and a.step_id < (p.last_run + 1) * 1024
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
