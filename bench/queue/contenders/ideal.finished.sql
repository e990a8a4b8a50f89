insert into job (kind, state, item) select 'noop', 2, '{"n": 0}' from generate_series(1, :rows)
