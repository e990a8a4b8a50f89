insert into kept (recipe) select u.recipe from unnest(%b::bytea[]) u(recipe) on conflict do nothing
