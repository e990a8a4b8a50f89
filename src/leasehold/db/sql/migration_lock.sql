select pg_advisory_xact_lock(hashtextextended('leasehold.migrate', 0))
