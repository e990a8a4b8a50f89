-- Seconds per document in the newest ingest of a collection that had at least ten.
select (extract(epoch from g.completed_at - y.started_at) / g.added)::float8
  from leasehold.sync y
  join leasehold.source s using (source_id)
  join leasehold.run_group g using (group_id)
 where s.collection_id = %s and g.completed_at is not null and g.added >= 10
 order by y.sync_id desc limit 1
