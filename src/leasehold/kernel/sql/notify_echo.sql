select pg_notify('leasehold_ready', %s)
