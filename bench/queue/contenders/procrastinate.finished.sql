set session_replication_role = replica;
insert into procrastinate_jobs (queue_name, task_name, args, status, attempts)
    select 'bench', 'noop', '{"n": 0}', 'succeeded', 1 from generate_series(1, :rows);
insert into procrastinate_events (job_id, type)
    select j.id, e::procrastinate_job_event_type
      from procrastinate_jobs j, unnest('{deferred,started,succeeded}'::text[]) e;
set session_replication_role = origin
