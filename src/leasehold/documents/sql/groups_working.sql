-- Groups of ingests that are not complete, of one collection or of all.
select distinct g.group_id, s.uri
  from leasehold.sync y
  join leasehold.source s using (source_id)
  join leasehold.run_group g using (group_id)
 where g.completed_at is null and (%(collection)s::bigint is null or s.collection_id = %(collection)s)
 order by g.group_id
