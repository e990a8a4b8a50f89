insert into leasehold.artifact (recipe, kind, content, size, step_id, created_at)
select u.recipe, u.kind, u.content, u.size, u.step_id, leasehold.now()
  from unnest(%b::bytea[], %s::text[], %b::bytea[], %s::bigint[], %s::bigint[]) u(recipe, kind, content, size, step_id)
on conflict (recipe) do nothing
