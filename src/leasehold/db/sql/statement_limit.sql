-- For a statement that waits for its client in the middle: a COPY whose sender was stopped.
set local statement_timeout = '120s'
