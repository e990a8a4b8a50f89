-- Take away the row of a result that is damaged or lost, if it is still that one.
with gone as (
    delete from leasehold.artifact a
     where a.recipe = %(recipe)b and (a.checksum is null or a.checksum = %(checksum)b)
       and a.key is not distinct from %(key)s::text
    returning a.store_id, a.key
), strayed as (
    insert into leasehold.artifact_stray (store_id, key, token, since)
    select g.store_id, g.key, null, leasehold.now() from gone g where g.key is not null
    on conflict (store_id, key) do nothing
)
select 1 from gone
