select pg_terminate_backend(%s)
