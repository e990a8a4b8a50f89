select current_setting('server_version'), rolcreatedb or rolsuper from pg_roles where rolname = current_user
