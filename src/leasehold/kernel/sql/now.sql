-- now: the one clock of the kernel: the database's.
--
-- Returns  the time at this very moment (not the transaction's start).
-- Tests    leasehold.testing replaces this function by one that reads a table, and so sets the time for every process.
create or replace function leasehold.now() returns timestamptz language sql volatile parallel safe as $$
    select clock_timestamp()
$$;
