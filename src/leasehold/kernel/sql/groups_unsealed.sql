-- Groups that are not sealed and have nothing left to do, and were opened so long ago: they wait for their seal alone.
select g.group_id, g.label, g.added, extract(epoch from leasehold.now() - g.created_at)::float8
  from leasehold.run_group g
 cross join lateral (select coalesce(sum(x.succeeded + x.failed + x.cancelled), 0) as ended
                       from leasehold.group_delta x where x.group_id = g.group_id) d
 where g.completed_at is null and g.sealed_at is null
   and g.succeeded + g.failed + g.cancelled + d.ended = g.added
   and g.created_at < leasehold.now() - make_interval(secs => %s)
 order by g.group_id limit %s
