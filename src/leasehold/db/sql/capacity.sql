-- The three ceilings on sessions, and how many client sessions there are under each, this one left out. Other roles'
-- rows of pg_stat_activity may be hidden but for who and where; a hidden kind of process counts as a client.
with used as (
    select count(*) as everywhere,
           count(*) filter (where a.usename = current_user) as mine,
           count(*) filter (where a.datname = current_database()) as here
      from pg_stat_activity a
     where a.pid <> pg_backend_pid() and a.datid is not null
       and coalesce(a.backend_type, 'client backend') = 'client backend')
select current_setting('max_connections')::integer,
       current_setting('superuser_reserved_connections')::integer
           + coalesce(current_setting('reserved_connections', true)::integer, 0),
       u.everywhere::integer,
       r.rolconnlimit, u.mine::integer,
       d.datconnlimit, u.here::integer
  from used u, pg_roles r, pg_database d
 where r.rolname = current_user and d.datname = current_database()
