select deadlocks from pg_stat_database where datname = current_database()
