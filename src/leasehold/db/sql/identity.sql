-- Which server process group, which database: the same on every route that leads to one and the same place. A standby
-- has another start, a restored copy another oid or start.
select current_database()::text, d.oid::bigint, pg_postmaster_start_time()::text, pg_is_in_recovery()
  from pg_database d where d.datname = current_database()
