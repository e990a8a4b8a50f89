-- Sessions of ours that listen in this database, and how full the server's queue of notifications is (1.0: full; then
-- every commit that notifies fails).
select (select count(*) from pg_stat_activity a
         where a.datname = current_database() and a.application_name = %s), pg_notification_queue_usage()
