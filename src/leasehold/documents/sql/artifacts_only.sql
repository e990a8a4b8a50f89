delete from leasehold.artifact a using unnest(%b::bytea[]) u(recipe)
 where a.recipe = u.recipe and not exists (select from kept k where k.recipe = a.recipe)
