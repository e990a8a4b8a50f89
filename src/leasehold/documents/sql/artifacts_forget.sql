-- Forget a store: its results, its strays, and that it was there. What lies in it is not touched.
with strays as (
    delete from leasehold.artifact_stray s where s.store_id = %(store)s
), results as (
    delete from leasehold.artifact a where a.store_id = %(store)s
)
delete from leasehold.artifact_store t where t.store_id = %(store)s
