create temporary table kept (recipe bytea primary key) on commit drop
