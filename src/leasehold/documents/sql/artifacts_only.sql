-- Remove these results unless they are kept; the objects of those that lie in a store become strays.
with gone as (
    delete from leasehold.artifact a using unnest(%b::bytea[]) u(recipe)
     where a.recipe = u.recipe and not exists (select from kept k where k.recipe = a.recipe)
    returning a.store_id, a.key
)
insert into leasehold.artifact_stray (store_id, key, token, since)
select g.store_id, g.key, null, leasehold.now() from gone g where g.key is not null
on conflict (store_id, key) do nothing
