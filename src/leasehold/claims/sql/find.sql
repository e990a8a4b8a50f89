-- Claim tables of this database, by what the script wrote down about them.
select n.nspname, c.relname, obj_description(c.oid, 'pg_class')
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and c.relname like '%\_work\_claims' and obj_description(c.oid, 'pg_class') like 'Leasehold claims {%'
 order by n.nspname, c.relname
