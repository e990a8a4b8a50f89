-- As session_limits, for a statement that waits for its client in the middle: a COPY whose sender was stopped.
set statement_timeout = '120s'
