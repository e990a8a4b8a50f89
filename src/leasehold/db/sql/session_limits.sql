-- A client that is stopped (SIGSTOP, a debugger, a swapping host) must not keep its locks: the server ends a transaction
-- that stands idle between two statements. Nothing of ours computes for long within one; a turn lifts this for itself.
set idle_in_transaction_session_timeout = '8s'
