-- Groups to which a scan of this source was adding when it ended before its end, those included that it never used.
select g.group_id from leasehold.sync y
  join leasehold.run_group g on g.idempotency_key = 'leasehold sync ' || y.sync_id
 where y.source_id = %s and y.applied_at is null and g.sealed_at is null order by g.group_id
