-- The first statement on a new connection: who really answers, and the bounds of its transactions.
-- The session's own bounds are set only where the server process is the one that the connection was opened to: between
-- them stands no pooler, so that nobody else gets the session later. Elsewhere they are set for this transaction alone,
-- that is, not at all; `transaction_limits` sets them for each. `shared` null: find out; else it is known.
-- A client that is stopped (SIGSTOP, a debugger, a swapping host) must not keep its locks: the server ends a transaction
-- that stands idle between two statements. Nothing of ours computes for long within one; a turn lifts this for itself.
select pg_backend_pid(),
       current_setting('transaction_read_only')::boolean,
       set_config('idle_in_transaction_session_timeout', '8s', coalesce(v.shared, pg_backend_pid() <> v.key_pid)),
       set_config('statement_timeout', coalesce(v.statement_timeout, current_setting('statement_timeout')),
                  coalesce(v.shared, pg_backend_pid() <> v.key_pid))
  from (values (%s::boolean, %s::integer, %s::text)) v(shared, key_pid, statement_timeout)
