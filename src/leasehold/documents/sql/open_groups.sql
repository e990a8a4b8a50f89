-- Groups of these sources that are not complete, also those of an ingest that died.
select distinct g.group_id from leasehold.sync y join leasehold.run_group g using (group_id)
 where y.source_id = any (%s::bigint[]) and g.completed_at is null order by g.group_id
