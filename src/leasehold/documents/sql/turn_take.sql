-- {key} is put in by the program: a statement with parameters would keep its portal, and with it a snapshot, until the
-- transaction ends; vacuum and index builds wait for those.
select pg_try_advisory_xact_lock({key})
