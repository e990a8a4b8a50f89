-- Sessions of the lab's workers, each with its duty: claims, finishes, heartbeat, duties, ...
select pid, substr(application_name, 11) from pg_stat_activity
 where datname = current_database() and backend_type = 'client backend' and application_name like 'leasehold %%'
   and application_name not like 'leasehold chaos%%'
 order by application_name, pid
