select pg_try_advisory_xact_lock(hashtextextended('leasehold.turn ' || %s, 0))
