select s.source_id, s.uri, s.root, c.name, y.seen, y.applied_at is not null, y.started_at
  from leasehold.source s
  join leasehold.collection c using (collection_id)
  left join lateral (select * from leasehold.sync y where y.source_id = s.source_id order by y.sync_id desc limit 1) y
    on true
 where %(collection)s::text is null or c.name = %(collection)s
 order by c.name, s.uri
