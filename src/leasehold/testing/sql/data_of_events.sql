select name, coalesce(data, '{}') from leasehold.event where group_id = %s order by event_id
