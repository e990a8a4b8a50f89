select coalesce((select x.event_id from leasehold.event x order by x.event_id desc limit 1), 0)
