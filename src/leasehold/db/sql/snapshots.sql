-- Who keeps the server from removing dead rows: sessions of this database with a snapshot or a transaction of their own,
-- prepared transactions, replication slots; those first whose horizon is furthest back. xids: how many transactions ago
-- that is. Sessions of other databases hold back what all share, and not our tables. Of other roles' sessions a role
-- that may not look sees who it is and no more.
select * from (
    select 'session' as what, a.pid::text as name, a.application_name, a.usename::text as role, coalesce(a.state, '') as state,
           coalesce(host(a.client_addr), '') as address,
           extract(epoch from clock_timestamp() - a.xact_start)::float8 as age_s,
           greatest(age(a.backend_xmin), age(a.backend_xid))::bigint as xids
      from pg_stat_activity a
     where a.datname = current_database() and a.pid <> pg_backend_pid()
       and (a.backend_xmin is not null or a.backend_xid is not null)
       and coalesce(a.backend_type, '') not in ('autovacuum worker', 'walsender')
    union all
    select 'prepared transaction', p.gid, '', p.owner::text, '', '',
           extract(epoch from clock_timestamp() - p.prepared)::float8, age(p.transaction)::bigint
      from pg_prepared_xacts p where p.database = current_database()
    union all
    select 'replication slot', r.slot_name::text, coalesce(r.plugin::text, ''), '',
           case when r.active then 'active' else 'inactive' end, '', null,
           greatest(age(r.xmin), age(r.catalog_xmin))::bigint
      from pg_replication_slots r where r.xmin is not null or r.catalog_xmin is not null) h
 order by xids desc nulls last, age_s desc nulls last
 limit %s
