insert into leasehold.sync
    (source_id, started_at, seen, excluded, added, changed, renamed, deleted, unchanged)
values (%s, leasehold.now(), %s, %s, %s, %s, %s, %s, %s)
returning sync_id
