with gone as (delete from leasehold_test.clock)
insert into leasehold_test.clock (at) values (coalesce(%s::timestamptz, clock_timestamp()))
returning at
