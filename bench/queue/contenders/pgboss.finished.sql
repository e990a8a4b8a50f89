insert into pgboss.job (name, data, state, started_on, completed_on)
    select 'noop', '{"n": 0}', 'completed', now(), now() from generate_series(1, :rows)
