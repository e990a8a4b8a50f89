-- Tables that a prune has detached and not dropped yet, by the predicate of prune_drop.
select c.relname::text, pg_total_relation_size(c.oid) from pg_class c
 where c.relnamespace = 'leasehold'::regnamespace and c.relkind = 'r' and not c.relispartition
   and c.relname ~ '_gone[0-9]+_[0-9]+$|^event_p[0-9]+$'
 order by 1
