-- Remove the results that nothing refers to; the objects of those that lie in a store become strays.
with gone as (
    delete from leasehold.artifact a
     where a.created_at < leasehold.now() - make_interval(secs => %s)
       and not exists (select from kept k where k.recipe = a.recipe)
       and not (a.kind = 'workflow' and exists (select from leasehold.step s where s.step_id = a.step_id))
    returning a.store_id, a.key
)
insert into leasehold.artifact_stray (store_id, key, token, since)
select g.store_id, g.key, null, leasehold.now() from gone g where g.key is not null
on conflict (store_id, key) do nothing
