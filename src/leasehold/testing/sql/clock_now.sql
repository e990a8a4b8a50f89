-- The test's clock: every process that uses this database reads the time from one row.
create or replace function leasehold.now() returns timestamptz language sql volatile as $$
    select c.at from leasehold_test.clock c
$$;
