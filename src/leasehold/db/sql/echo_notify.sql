select pg_notify('leasehold_echo', %s)
