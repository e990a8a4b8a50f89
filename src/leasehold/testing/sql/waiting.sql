select count(*) from pg_stat_activity where pid = %s and wait_event_type = 'Lock' and state = 'active'
