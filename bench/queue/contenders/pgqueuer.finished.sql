insert into pgqueuer_log (job_id, status, entrypoint, priority, aggregated)
    select i, 'successful', 'noop', 0, true from generate_series(1, :rows) i
