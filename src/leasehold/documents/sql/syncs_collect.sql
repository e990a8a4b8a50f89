-- Scans that found nothing to do, are older, and are not the newest of their source: nobody asks for them again.
delete from leasehold.sync y where y.sync_id in (
    select x.sync_id from leasehold.sync x
     where x.group_id is null and x.applied_at < leasehold.now() - make_interval(secs => %s)
       and exists (select from leasehold.sync n
                    where n.source_id = x.source_id and n.sync_id > x.sync_id and n.applied_at is not null)
     limit %s)
returning y.sync_id
