-- A session's own part of the statistics is otherwise told up to a second later, or when its process has ended.
select pg_stat_force_next_flush()
