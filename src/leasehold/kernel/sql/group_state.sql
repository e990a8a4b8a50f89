select g.group_id, g.label, g.round, g.added, g.succeeded + d.succeeded, g.failed + d.failed, g.cancelled + d.cancelled,
       g.sealed_at is not null, g.completed_at is not null, g.cancelled_at is not null, g.source,
       (select c.ended::text from leasehold.group_completion c where c.group_id = g.group_id order by c.round desc limit 1)
  from leasehold.run_group g
 cross join lateral (select coalesce(sum(x.succeeded), 0) as succeeded, coalesce(sum(x.failed), 0) as failed,
                            coalesce(sum(x.cancelled), 0) as cancelled
                       from leasehold.group_delta x where x.group_id = g.group_id) d
 where g.group_id = any (%s)
 order by g.group_id
